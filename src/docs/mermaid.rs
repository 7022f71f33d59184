//! The objects and what flows between them as a Mermaid flowchart. Pure.

use std::fmt::Write as _;

use crate::catalog::DefinitionKind;
use crate::docs::Model;
use crate::docs::escape::mermaid as escaped;

/// The flowchart.
#[must_use]
pub fn mermaid(model: &Model) -> String {
    let objects: Vec<_> = model
        .objects
        .iter()
        .filter(|object| object.kind != DefinitionKind::Function)
        .collect();
    let mut text = "flowchart LR\n".to_owned();
    for (index, object) in objects.iter().enumerate() {
        let (open, close) = match object.kind {
            DefinitionKind::MaterializedView | DefinitionKind::RefreshableView => ("{{", "}}"),
            DefinitionKind::View | DefinitionKind::ParameterizedView => ("([", "])"),
            _ => ("[(", ")]"),
        };
        let _ = writeln!(
            text,
            "    o{index}{open}\"{}\"{close}",
            escaped(&object.name)
        );
    }
    for (index, object) in objects.iter().enumerate() {
        for from in &object.from {
            if let Some(source) = objects.iter().position(|it| it.name == *from) {
                let _ = writeln!(text, "    o{source} --> o{index}");
            }
        }
    }
    text
}
