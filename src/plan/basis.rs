//! What a plan was made from, so that a plan that was read by somebody is executed only if nothing has moved since.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::catalog::Holdings;
use crate::plan::{Step, title};
use crate::sql::hex;

/// The state of journal, target and files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Basis {
    /// The journal's last position.
    pub journal_position: u64,
    /// The objects of the database, each with the SHA-256 of its definition; without those of housewright.
    pub objects: BTreeMap<String, String>,
    /// The statements, each with its file's SHA-256 and its fingerprint.
    pub statements: Vec<String>,
}

impl Basis {
    pub(crate) fn of(journal_position: u64, steps: &[Step], holdings: &Holdings) -> Self {
        let objects = holdings
            .objects
            .iter()
            .flatten()
            .filter(|((database, name), _)| {
                *database == holdings.database && !name.starts_with("housewright_")
            })
            .map(|((_, name), object)| (name.clone(), hex(&Sha256::digest(&object.create))))
            .collect();
        let statements = steps
            .iter()
            .map(|step| {
                format!(
                    "{} {} {} {} {}",
                    title(step.version, &step.name),
                    step.direction.word(),
                    step.number,
                    step.file_sha256,
                    step.sha256
                )
            })
            .collect();
        Self {
            journal_position,
            objects,
            statements,
        }
    }

    /// SHA-256 over all of it.
    #[must_use]
    pub fn hash(&self) -> String {
        let mut hasher = Sha256::new();
        hasher.update(self.journal_position.to_le_bytes());
        for (name, sum) in &self.objects {
            hasher.update(format!("{name}\u{1f}{sum}\u{1e}"));
        }
        for statement in &self.statements {
            hasher.update(format!("{statement}\u{1e}"));
        }
        hex(&hasher.finalize())
    }

    /// What is not the same any more, in words; empty if nothing has moved.
    #[must_use]
    pub fn moved(&self, now: &Self) -> Vec<String> {
        let mut moved = Vec::new();
        if self.journal_position != now.journal_position {
            moved.push(format!(
                "the journal was at position {} and is at {}: somebody else applied or rolled back",
                self.journal_position, now.journal_position
            ));
        }
        for (name, sum) in &self.objects {
            match now.objects.get(name) {
                None => moved.push(format!("`{name}` is gone from the target")),
                Some(other) if other != sum => {
                    moved.push(format!("`{name}` has another definition on the target"));
                }
                Some(_) => {}
            }
        }
        for name in now
            .objects
            .keys()
            .filter(|name| !self.objects.contains_key(*name))
        {
            moved.push(format!("`{name}` is new on the target"));
        }
        if self.statements != now.statements {
            let first = self
                .statements
                .iter()
                .zip(&now.statements)
                .find(|(then, now)| then != now)
                .map_or_else(
                    || {
                        format!(
                            "there were {} statements and are {}",
                            self.statements.len(),
                            now.statements.len()
                        )
                    },
                    |(then, _)| {
                        let title = then.split(' ').next().unwrap_or_default();
                        format!("the first that differs is of {title}")
                    },
                );
            moved.push(format!("the files say something else: {first}"));
        }
        moved
    }
}
