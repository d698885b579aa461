//! Whose account a command is about, and which key signs in its name.
//!
//! Invariants: who is only looked at needs no key; a node is found by its directory, or by its name on the localnet.

use super::{Global, Usage, home_dir, target::Target};
use crate::{
    client::{Signer, Wallet},
    roles,
    types::{Address, Role},
};
use anyhow::{Context, bail};
use std::path::PathBuf;

/// Which node and which key.
pub struct Desk<'a> {
    /// The chain.
    pub target: &'a Target,
    /// Options of the invocation.
    pub global: &'a Global,
    /// What `--node` says.
    pub node: Option<PathBuf>,
    /// Role of the node that is meant if nothing is said.
    pub role: Role,
    /// What such an account is called, and the command that lists all of them.
    pub words: (&'static str, &'static str),
}

impl Desk<'_> {
    /// The directory of the node: the one given, that of the localnet's node of this name, or the default.
    pub fn dir(&self) -> PathBuf {
        let Some(node) = &self.node else { return home_dir().join(self.role.name()) };
        let named = node.to_str().filter(|_| !node.exists()).and_then(|name| self.target.node_dir(name));
        named.unwrap_or_else(|| node.clone())
    }

    fn signer(&self) -> anyhow::Result<Signer> {
        if let Some(key) = &self.global.key {
            return Ok(Signer::parse(key).map_err(|e| Usage(e.to_string()))?);
        }
        let (dir, what) = (self.dir(), self.words.0);
        let keys = roles::read_keys(&dir).with_context(|| {
            format!("no {what} is named, and `{}` holds no node (give its account or name, or --node)", dir.display())
        })?;
        Ok(Signer::Native(keys.account))
    }

    /// The wallet of the key given, or of the node.
    pub async fn wallet(&self) -> anyhow::Result<Wallet> {
        let chain_id = self.target.chain.status().await?.chain_id;
        Ok(Wallet::new(self.target.chain.clone(), self.signer()?, chain_id))
    }

    /// The account meant: the one given, the one of the name given among `known`, or this node's.
    pub async fn account(
        &self,
        who: Option<&str>,
        known: impl Future<Output = anyhow::Result<Vec<(Address, String)>>>,
    ) -> anyhow::Result<Address> {
        match who {
            None => Ok(self.signer()?.address()),
            Some(who) => account_of(who, known, self.words).await,
        }
    }
}

/// The account that is given, or the one of that name among `known`.
pub async fn account_of(
    who: &str,
    known: impl Future<Output = anyhow::Result<Vec<(Address, String)>>>,
    words: (&str, &str),
) -> anyhow::Result<Address> {
    match who.parse() {
        Ok(account) => Ok(account),
        Err(_) => named(who, &known.await?, words),
    }
}

fn named(name: &str, known: &[(Address, String)], (what, list): (&str, &str)) -> anyhow::Result<Address> {
    let found: Vec<Address> = known.iter().filter(|(_, other)| other == name).map(|(account, _)| *account).collect();
    match found.as_slice() {
        [one] => Ok(*one),
        [] => bail!("no {what} is called `{name}` (`{list}` shows all)"),
        [one, more @ ..] => bail!("{} {what}s are called `{name}`, {one} is one: give the account", more.len() + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_by_name_if_there_is_one() {
        let miner = |tag, name: &str| (Address::repeat_byte(tag), name.to_owned());
        let known = [miner(1, "attic"), miner(2, "shed"), miner(3, "attic")];
        let words = ("miner", "cess miner list");
        assert_eq!(named("shed", &known, words).unwrap(), Address::repeat_byte(2));
        let refused = named("attic", &known, words).unwrap_err().to_string();
        assert!(refused.starts_with("2 miners are called `attic`"), "{refused}");
        assert!(named("cellar", &known, words).unwrap_err().to_string().contains("`cess miner list`"));
    }
}
