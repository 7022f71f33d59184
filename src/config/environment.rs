//! The environment, read once, so that everything else takes it as an argument and tests bring their own.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;

/// The variables of the process, or of a test.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The environment of this process. Variables that are not UTF-8 are left out.
    #[must_use]
    pub fn of_this_process() -> Self {
        Self(
            std::env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .collect(),
        )
    }

    /// An environment that holds just these variables.
    #[must_use]
    pub fn of(variables: &[(&str, &str)]) -> Self {
        Self(
            variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        )
    }

    /// The value of a variable; an empty one counts as not set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The directory for what can be fetched again: `$XDG_CACHE_HOME/housewright`, else `~/.cache/housewright`.
    #[must_use]
    pub fn cache(&self) -> Option<Utf8PathBuf> {
        self.get("XDG_CACHE_HOME")
            .map(Utf8PathBuf::from)
            .filter(|path| path.is_absolute())
            .or_else(|| Some(Utf8PathBuf::from(self.get("HOME")?).join(".cache")))
            .map(|path| path.join("housewright"))
    }

    /// Who runs this, for the journal and the lock.
    #[must_use]
    pub fn user(&self) -> String {
        ["HOUSEWRIGHT_USER_NAME", "USER", "LOGNAME", "USERNAME"]
            .iter()
            .find_map(|name| self.get(name))
            .unwrap_or("unknown")
            .to_owned()
    }

    /// The name of this machine, for the journal and the lock.
    #[must_use]
    pub fn host(&self) -> String {
        self.get("HOSTNAME")
            .map(str::to_owned)
            .or_else(|| {
                let name = fs_err::read_to_string("/proc/sys/kernel/hostname").ok()?;
                Some(name.trim().to_owned()).filter(|name| !name.is_empty())
            })
            .unwrap_or_else(|| "unknown".to_owned())
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Values may be passwords.
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}
