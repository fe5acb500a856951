//! Settings from a TOML file.

use std::path::PathBuf;

use serde::Deserialize;

use super::{Config, Sync, bounds};
use crate::error::Error;

/// Declares the fields of the file: each is a field of [`Config`] with the same name and may be absent.
macro_rules! settings {
    ($($field:ident: $type:ty,)+) => {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Settings {
            $(#[serde(default)] $field: Option<$type>,)+
        }

        impl Settings {
            fn lay_over(self, mut config: Config) -> Config {
                $(if let Some(value) = self.$field {
                    config = config.$field(value);
                })+
                config
            }
        }
    };
}

settings! {
    directory: PathBuf,
    buckets: u32,
    window_span_ms: u64,
    workers: u32,
    parts: u32,
    memtable_bytes: u64,
    segment_bytes: u64,
    journal_retain_bytes: u64,
    journal_replay_bytes: u64,
    calls_max: u32,
    command_bytes_max: u32,
    value_bytes_max: u32,
    batch_bytes_max: u32,
    deadline_default_ms: u32,
    hedge_ms: u32,
    resend_ms: u32,
    peer_buffer_bytes_max: u64,
    transfer_bytes_s_max: u64,
    audit_every_s: u32,
    sync: Sync,
}

impl Config {
    /// An embedded store's settings from TOML, checked. `directory` must be there; every other setting may be, under
    /// the name of its setter. `sync` is `"disk"` or `"none"`.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the line and the field: unknown, of the wrong type, or out of bounds.
    ///
    /// ```
    /// use thermocline::Config;
    /// Config::from_toml(
    ///     r#"
    ///     directory = "data"
    ///     workers = 4
    ///     sync = "disk"
    ///     "#,
    /// )?;
    /// assert!(Config::from_toml("directory = 'data'\nworkrs = 4").is_err());
    /// # Ok::<(), thermocline::Error>(())
    /// ```
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        let mut config = Self::embedded("").with_toml(text)?;
        config.directory = config.directory.filter(|directory| !directory.as_os_str().is_empty());
        config.validate()?;
        Ok(config)
    }

    /// These settings with those of a TOML text laid over them; the fields are those of [`Config::from_toml`]. Bounds
    /// are checked when the store is opened.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the line and the field: unknown, or of the wrong type.
    pub fn with_toml(self, text: &str) -> Result<Self, Error> {
        let settings: Settings =
            toml::from_str(text).map_err(|error| bounds::toml_error("config", text, &error))?;
        Ok(settings.lay_over(self))
    }
}
