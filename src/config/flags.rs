//! Settings that the command line overrides.

use super::{CONFIG_FILE, ChainMode, IdleSpace};
use crate::types::{ByteCount, Role};
use std::path::{Path, PathBuf};
use toml::Value;

/// What the command line says; whatever is `None`, empty or false leaves the setting to the other sources.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `node.name`.
    pub name: Option<String>,
    /// `node.dir`. Relative to the working directory.
    pub dir: Option<PathBuf>,
    /// `node.roles`.
    pub roles: Vec<Role>,
    /// `node.log`.
    pub log: Option<String>,
    /// `node.log_json`.
    pub log_json: bool,
    /// `network.listen`.
    pub listen: Vec<String>,
    /// `network.external`.
    pub external: Vec<String>,
    /// `network.bootstrap`.
    pub bootstrap: Vec<String>,
    /// `rpc.listen`; an empty text switches the server off.
    pub rpc_listen: Option<String>,
    /// `gateway.listen`.
    pub gateway_listen: Option<String>,
    /// `gateway.s3_listen`.
    pub gateway_s3_listen: Option<String>,
    /// `storage.space`.
    pub space: Option<ByteCount>,
    /// `storage.idle`.
    pub idle: Option<IdleSpace>,
    /// `chain.mode = "light"`.
    pub light: bool,
    /// `chain.genesis`. Relative to the node's directory.
    pub genesis: Option<PathBuf>,
}

impl Flags {
    /// The config file of a node whose directory the command line names, if it is there.
    pub fn file_in(dir: &Path) -> Option<PathBuf> {
        Some(dir.join(CONFIG_FILE)).filter(|file| file.is_file())
    }

    /// The settings that are set: section, key, value.
    pub(super) fn entries(&self) -> Vec<(&'static str, &'static str, Value)> {
        let text = |value: &Option<String>| value.clone().map(Value::String);
        let path = |value: &Option<PathBuf>| value.as_deref().map(path_value);
        let list = |values: &[String]| (!values.is_empty()).then(|| texts(values.iter().cloned()));
        let roles: Vec<String> = self.roles.iter().map(Role::to_string).collect();
        let all = [
            ("node", "name", text(&self.name)),
            ("node", "dir", path(&self.dir)),
            ("node", "roles", list(&roles)),
            ("node", "log", text(&self.log)),
            ("node", "log_json", self.log_json.then_some(Value::Boolean(true))),
            ("network", "listen", list(&self.listen)),
            ("network", "external", list(&self.external)),
            ("network", "bootstrap", list(&self.bootstrap)),
            ("rpc", "listen", text(&self.rpc_listen)),
            ("gateway", "listen", text(&self.gateway_listen)),
            ("gateway", "s3_listen", text(&self.gateway_s3_listen)),
            ("storage", "space", self.space.map(size_value)),
            ("storage", "idle", self.idle.map(|idle| Value::String(idle.to_string()))),
            ("chain", "mode", self.light.then(|| Value::String(ChainMode::Light.to_string()))),
            ("chain", "genesis", path(&self.genesis)),
        ];
        all.into_iter().filter_map(|(section, key, value)| Some((section, key, value?))).collect()
    }
}

/// A list of texts.
pub(super) fn texts(values: impl IntoIterator<Item = String>) -> Value {
    Value::Array(values.into_iter().map(Value::String).collect())
}

/// A size as text that parses back to the same number.
pub(super) fn size_value(size: ByteCount) -> Value {
    let pretty = size.to_string();
    Value::String(if pretty.parse() == Ok(size) { pretty } else { format!("{} B", size.0) })
}

/// A path as text.
pub(super) fn path_value(path: &Path) -> Value {
    Value::String(path.display().to_string())
}
