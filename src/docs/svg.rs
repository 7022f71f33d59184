//! The objects and what flows between them, drawn. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::catalog::DefinitionKind;
use crate::docs::escape::{anchor, html};
use crate::docs::layout::{HEIGHT, Layout, Way, layout};
use crate::docs::{Model, Object};

/// What is left free around the drawing.
const MARGIN: f64 = 12.0;
/// The width of a character of the name, and of the line below it.
const CHARACTER: f64 = 8.5;
const SMALL: f64 = 6.4;
/// What stands before and behind the name.
const PADDING: f64 = 39.0;
/// The most characters of a name that are shown.
const LONGEST: usize = 36;

/// The colours and shapes, by classes. `{…}` are variables, so that a page can have others.
pub(crate) const STYLE: &str = ".map text{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,'Liberation Mono',monospace}
.map .name{font-size:14px;font-weight:600;fill:var(--ink)}
.map .what{font-size:11.5px;font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif;fill:var(--soft)}
.map .box{fill:var(--paper);stroke:var(--edge);stroke-width:1}
.map .mark{stroke:none}
.map .table .mark{fill:var(--table)}
.map .view .mark{fill:var(--view)}
.map .trigger .mark{fill:var(--trigger)}
.map .other .mark{fill:var(--soft)}
.map .trigger .box{stroke-dasharray:4 3;stroke:var(--trigger)}
.map .edge{fill:none;stroke:var(--flow);stroke-width:1.5}
.map .tip{fill:var(--flow);stroke:none}
";

const LIGHT: &str = "--paper:#ffffff;--ink:#1d1c1a;--soft:#5f5b55;--edge:#d5cfc5;--flow:#a69e92;--table:#2f5d8a;--view:#1f6f54;--trigger:#96610b";
const DARK: &str = "--paper:#201e1c;--ink:#ebe8e2;--soft:#aaa49b;--edge:#47423b;--flow:#7d766b;--table:#86b4e0;--view:#7cc4a4;--trigger:#dcb063";

/// The drawing as a file of its own, for light and dark.
#[must_use]
pub fn svg(model: &Model) -> String {
    let drawing = Drawing::of(model);
    let (width, height) = drawing.size();
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"map\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"{}\">\n<style>\n.map{{{LIGHT}}}\n@media (prefers-color-scheme:dark){{.map{{{DARK}}}}}\n{STYLE}</style>\n",
        html(&label(model))
    );
    drawing.body(&mut text, false);
    text.push_str("</svg>\n");
    text
}

/// The drawing within a page: its boxes are links to the objects.
pub(crate) fn inline(model: &Model) -> String {
    let drawing = Drawing::of(model);
    let (width, height) = drawing.size();
    let mut text = format!(
        "<svg class=\"map\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"group\" aria-label=\"{}\">\n",
        html(&label(model))
    );
    drawing.body(&mut text, true);
    text.push_str("</svg>\n");
    text
}

fn label(model: &Model) -> String {
    format!(
        "Lineage of {}: the objects, and which of them data flows through",
        model.database
    )
}

/// What an object is, as a class.
pub(crate) fn class(kind: DefinitionKind) -> &'static str {
    match kind {
        DefinitionKind::Table => "table",
        DefinitionKind::View | DefinitionKind::ParameterizedView => "view",
        DefinitionKind::MaterializedView | DefinitionKind::RefreshableView => "trigger",
        DefinitionKind::Dictionary | DefinitionKind::Function => "other",
    }
}

struct Drawing<'a> {
    objects: Vec<&'a Object>,
    layout: Layout,
}

impl<'a> Drawing<'a> {
    fn of(model: &'a Model) -> Self {
        let objects: Vec<&Object> = model
            .objects
            .iter()
            .filter(|object| object.kind != DefinitionKind::Function)
            .collect();
        let number: BTreeMap<&str, usize> = objects
            .iter()
            .enumerate()
            .map(|(at, object)| (object.name.as_str(), at))
            .collect();
        let mut edges = Vec::new();
        for (at, object) in objects.iter().enumerate() {
            for from in &object.from {
                if let Some(from) = number.get(from.as_str()) {
                    edges.push((*from, at));
                }
            }
        }
        let widths: Vec<f64> = objects
            .iter()
            .map(|object| {
                let name = wide(&shortened(&object.name)) * CHARACTER;
                let what = wide(&what(object)) * SMALL;
                name.max(what).max(60.0) + PADDING
            })
            .collect();
        Self {
            layout: layout(&widths, &edges),
            objects,
        }
    }

    fn size(&self) -> (String, String) {
        (
            number(self.layout.width + 2.0 * MARGIN),
            number(self.layout.height.max(HEIGHT) + 2.0 * MARGIN),
        )
    }

    fn body(&self, text: &mut String, links: bool) {
        text.push_str("<g class=\"edges\">\n");
        for way in &self.layout.ways {
            self.way(text, way, links);
        }
        text.push_str("</g>\n<g class=\"nodes\">\n");
        for (object, place) in self.objects.iter().zip(&self.layout.places) {
            let (x, y) = (place.x + MARGIN, place.y + MARGIN);
            let class = class(object.kind);
            let (open, close) = if links {
                let anchor = anchor(&object.name);
                (
                    format!("<a href=\"#{anchor}\" data-node=\"{anchor}\" class=\"node {class}\">"),
                    "</a>",
                )
            } else {
                (format!("<g class=\"{class}\">"), "</g>")
            };
            let shown = shortened(&object.name);
            // What is cut is said in full where one points.
            let title = if shown == object.name {
                String::new()
            } else {
                format!("<title>{}</title>", html(&object.name))
            };
            let radius = if class == "view" { 12 } else { 4 };
            let _ = writeln!(
                text,
                "{open}{title}<rect class=\"box\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"{radius}\"/>{}<text class=\"name\" x=\"{tx}\" y=\"{}\">{}</text><text class=\"what\" x=\"{tx}\" y=\"{}\">{}</text>{close}",
                number(x),
                number(y),
                number(place.width),
                number(HEIGHT),
                mark(class, x + 13.0, y + 15.5),
                number(y + 22.0),
                html(&shown),
                number(y + 39.0),
                html(&what(object)),
                tx = number(x + 27.0),
            );
        }
        text.push_str("</g>\n");
    }

    fn way(&self, text: &mut String, way: &Way, links: bool) {
        let mut points = way.points.iter();
        let Some((x, y)) = points.next() else { return };
        let mut path = format!("M{} {}", number(x + MARGIN), number(y + MARGIN));
        let (mut x, mut y) = (*x, *y);
        let last = way.points.last().copied().unwrap_or_default();
        // The tip of the arrow takes the last pixels.
        let tip = if last.0 >= x { 6.0 } else { -6.0 };
        for (index, (to_x, to_y)) in points.enumerate() {
            let end = if index + 2 == way.points.len() {
                to_x - tip
            } else {
                *to_x
            };
            let bend = ((end - x).abs() / 2.0).max(18.0) * tip.signum();
            let _ = if (y - to_y).abs() < 0.05 {
                write!(path, "L{} {}", number(end + MARGIN), number(to_y + MARGIN))
            } else {
                write!(
                    path,
                    "C{} {} {} {} {} {}",
                    number(x + bend + MARGIN),
                    number(y + MARGIN),
                    number(end - bend + MARGIN),
                    number(to_y + MARGIN),
                    number(end + MARGIN),
                    number(to_y + MARGIN)
                )
            };
            (x, y) = (*to_x, *to_y);
        }
        let (tip_x, tip_y) = (last.0 + MARGIN, last.1 + MARGIN);
        let arrow = format!(
            "M{} {}L{} {}L{} {}Z",
            number(tip_x),
            number(tip_y),
            number(tip_x - tip * 1.3),
            number(tip_y - 3.6),
            number(tip_x - tip * 1.3),
            number(tip_y + 3.6)
        );
        let name = |at: usize| {
            self.objects
                .get(at)
                .map(|object| anchor(&object.name))
                .unwrap_or_default()
        };
        let data = if links {
            format!(
                " data-from=\"{}\" data-to=\"{}\"",
                name(way.from),
                name(way.to)
            )
        } else {
            String::new()
        };
        let _ = writeln!(
            text,
            "<g class=\"way\"{data}><path class=\"edge\" d=\"{path}\"/><path class=\"tip\" d=\"{arrow}\"/></g>"
        );
    }
}

/// A table is a square, a view a disk, a trigger a triangle.
fn mark(class: &str, x: f64, y: f64) -> String {
    let (cx, cy) = (x + 2.0, y + 2.0);
    match class {
        "view" => format!(
            "<circle class=\"mark\" cx=\"{}\" cy=\"{}\" r=\"4\"/>",
            number(cx),
            number(cy)
        ),
        "trigger" => format!(
            "<path class=\"mark\" d=\"M{} {}L{} {}L{} {}Z\"/>",
            number(cx - 3.5),
            number(cy - 4.2),
            number(cx + 4.5),
            number(cy),
            number(cx - 3.5),
            number(cy + 4.2)
        ),
        _ => format!(
            "<rect class=\"mark\" x=\"{}\" y=\"{}\" width=\"7.5\" height=\"7.5\" rx=\"1.5\"/>",
            number(cx - 3.75),
            number(cy - 3.75)
        ),
    }
}

/// The line below the name.
fn what(object: &Object) -> String {
    let columns = object.columns.len();
    let columns = match columns {
        0 => String::new(),
        1 => ", 1 column".to_owned(),
        many => format!(", {many} columns"),
    };
    let kind = match object.kind {
        DefinitionKind::Table => object
            .clauses
            .engine
            .split('(')
            .next()
            .unwrap_or_default()
            .trim()
            .to_owned(),
        kind => kind.label().to_owned(),
    };
    if object.kind == DefinitionKind::MaterializedView {
        return kind;
    }
    format!("{kind}{columns}")
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= LONGEST {
        return name.to_owned();
    }
    name.chars().take(LONGEST - 1).chain(['…']).collect()
}

/// How wide a text is, in characters of a Latin script.
fn wide(text: &str) -> f64 {
    text.chars()
        .map(|c| if u32::from(c) >= 0x1100 { 1.8 } else { 1.0 })
        .sum()
}

/// A number with at most one digit behind the point.
pub(crate) fn number(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}
