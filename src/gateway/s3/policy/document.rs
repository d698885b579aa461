//! Bucket policies: from JSON to rules that are fully understood, or a refusal.

use super::{
    condition::{Condition, Context},
    pattern,
};
use crate::types::Address;
use serde_json::{Map, Value};

/// Largest policy document.
pub const POLICY_MAX_BYTES: usize = 20 << 10;
/// Most statements of one.
const STATEMENTS_MAX: usize = 256;

/// Why a policy was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Too long.
    #[error("the policy is {0} B, at most {POLICY_MAX_BYTES} B")]
    TooLarge(usize),
    /// Not JSON.
    #[error("the policy is not JSON: {0}")]
    NotJson(String),
    /// A field is missing or of the wrong form.
    #[error("{place}: {problem}")]
    Malformed {
        /// Where.
        place: String,
        /// What.
        problem: String,
    },
}

/// A parsed policy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    statements: Vec<Statement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Statement {
    allow: bool,
    principals: Principals,
    actions: Listed,
    resources: Listed,
    conditions: Vec<Condition>,
}

/// A list of patterns, or all but those.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Listed {
    patterns: Vec<String>,
    except: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Principals {
    everybody: bool,
    accounts: Vec<Address>,
    except: bool,
}

/// What a policy says about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Forbidden expressly.
    Deny,
    /// Allowed, by a statement for these accounts alone or for everybody.
    Allow {
        /// Whether only a statement for everybody allows it.
        public: bool,
    },
    /// Not mentioned.
    Silent,
}

impl Policy {
    /// Reads and checks a document that is to stand on `bucket`.
    pub fn parse(text: &str, bucket: &str) -> Result<Self, PolicyError> {
        if text.len() > POLICY_MAX_BYTES {
            return Err(PolicyError::TooLarge(text.len()));
        }
        let document: Value = serde_json::from_str(text).map_err(|e| PolicyError::NotJson(e.to_string()))?;
        let document = document.as_object().ok_or_else(|| malformed("policy", "is not an object"))?;
        known(document, "policy", &["Version", "Id", "Statement"])?;
        match document.get("Version").and_then(Value::as_str) {
            None | Some("2012-10-17" | "2008-10-17") => {}
            Some(other) => return Err(malformed("Version", format!("`{other}` is not 2012-10-17 or 2008-10-17"))),
        }
        let statements = match document.get("Statement") {
            Some(Value::Array(list)) => list.iter().collect(),
            Some(one @ Value::Object(_)) => vec![one],
            _ => return Err(malformed("Statement", "is missing or not a list")),
        };
        if statements.is_empty() || statements.len() > STATEMENTS_MAX {
            return Err(malformed(
                "Statement",
                format!("{} of them, expected 1 to {STATEMENTS_MAX}", statements.len()),
            ));
        }
        let statements = statements.into_iter().enumerate().map(|(n, value)| Statement::parse(n, value, bucket));
        Ok(Self { statements: statements.collect::<Result<_, _>>()? })
    }

    /// What it says about `action` on `resource` by `who`.
    pub fn verdict(&self, who: Option<Address>, action: &str, resource: &str, context: &Context) -> Verdict {
        let mut verdict = Verdict::Silent;
        for statement in self.statements.iter().filter(|s| s.applies(who, action, resource, context)) {
            if !statement.allow {
                return Verdict::Deny;
            }
            let public = statement.is_public();
            verdict = match verdict {
                Verdict::Allow { public: false } => verdict,
                _ => Verdict::Allow { public },
            };
        }
        verdict
    }

    /// Whether a condition looks at the tags an object has.
    pub fn looks_at_tags(&self) -> bool {
        self.statements.iter().flat_map(|statement| &statement.conditions).any(Condition::looks_at_tags)
    }

    /// Whether a statement opens the bucket to everybody.
    pub fn is_public(&self) -> bool {
        self.statements.iter().any(|statement| statement.allow && statement.is_public())
    }
}

impl Statement {
    fn parse(index: usize, value: &Value, bucket: &str) -> Result<Self, PolicyError> {
        let place = format!("Statement {}", index + 1);
        let object = value.as_object().ok_or_else(|| malformed(&place, "is not an object"))?;
        known(
            object,
            &place,
            &[
                "Sid",
                "Effect",
                "Principal",
                "NotPrincipal",
                "Action",
                "NotAction",
                "Resource",
                "NotResource",
                "Condition",
            ],
        )?;
        let allow = match object.get("Effect").and_then(Value::as_str) {
            Some("Allow") => true,
            Some("Deny") => false,
            _ => return Err(malformed(&place, "`Effect` is neither Allow nor Deny")),
        };
        let (principal, except) = either(object, &place, "Principal", "NotPrincipal")?;
        let principals = Principals::parse(principal, except, &place)?;
        if principals.except && allow {
            return Err(malformed(&place, "`NotPrincipal` with Allow would let everybody else in"));
        }
        let (actions, except) = either(object, &place, "Action", "NotAction")?;
        let actions = Listed { patterns: texts(actions, &place, "Action")?, except };
        for action in &actions.patterns {
            if action != "*" && !action.get(..3).is_some_and(|p| p.eq_ignore_ascii_case("s3:")) {
                return Err(malformed(&place, format!("action `{action}` does not begin with s3:")));
            }
        }
        let (resources, except) = either(object, &place, "Resource", "NotResource")?;
        let resources = Listed { patterns: texts(resources, &place, "Resource")?, except };
        for resource in &resources.patterns {
            check_resource(resource, bucket).map_err(|problem| malformed(&place, problem))?;
        }
        let conditions = match object.get("Condition") {
            None => Vec::new(),
            Some(value) => Condition::parse_all(value).map_err(|problem| malformed(&place, problem))?,
        };
        Ok(Self { allow, principals, actions, resources, conditions })
    }

    fn applies(&self, who: Option<Address>, action: &str, resource: &str, context: &Context) -> bool {
        let action = action.to_ascii_lowercase();
        self.principals.hold(who)
            && self.actions.hold(|pattern| pattern::matches(&pattern.to_ascii_lowercase(), &action))
            && self.resources.hold(|pattern| pattern::matches(pattern, resource))
            && self.conditions.iter().all(|condition| condition.holds(context))
    }

    /// For everybody, and not fenced in by where a request comes from.
    fn is_public(&self) -> bool {
        self.principals.everybody && !self.conditions.iter().any(Condition::narrows_callers)
    }
}

impl Listed {
    fn hold(&self, matches: impl Fn(&str) -> bool) -> bool {
        self.patterns.iter().any(|pattern| matches(pattern)) != self.except
    }
}

impl Principals {
    fn parse(value: &Value, except: bool, place: &str) -> Result<Self, PolicyError> {
        let mut principals = Self { everybody: false, accounts: Vec::new(), except };
        match value {
            Value::String(star) if star == "*" => principals.everybody = true,
            Value::Object(kinds) if !kinds.is_empty() => {
                for (kind, names) in kinds {
                    if !matches!(kind.as_str(), "AWS" | "CanonicalUser") {
                        return Err(malformed(place, format!("principals of kind `{kind}` do not exist here")));
                    }
                    for name in texts(names, place, "Principal")? {
                        principals.add(&name, place)?;
                    }
                }
            }
            _ => return Err(malformed(place, "`Principal` is neither * nor an object")),
        }
        Ok(principals)
    }

    fn add(&mut self, name: &str, place: &str) -> Result<(), PolicyError> {
        if name == "*" {
            self.everybody = true;
            return Ok(());
        }
        let account = pattern::account_of(name)
            .ok_or_else(|| malformed(place, format!("principal `{name}` is not an account of this network")))?;
        self.accounts.push(account);
        Ok(())
    }

    fn hold(&self, who: Option<Address>) -> bool {
        (self.everybody || who.is_some_and(|who| self.accounts.contains(&who))) != self.except
    }
}

fn check_resource(resource: &str, bucket: &str) -> Result<(), String> {
    let Some(path) = resource.strip_prefix("arn:aws:s3:::") else {
        return match resource {
            "*" => Ok(()),
            _ => Err(format!("resource `{resource}` does not begin with arn:aws:s3:::")),
        };
    };
    let named = path.split_once('/').map_or(path, |(bucket, _)| bucket);
    match pattern::matches(named, bucket) {
        true => Ok(()),
        false => Err(format!("resource `{resource}` is not of bucket `{bucket}`")),
    }
}

fn known(object: &Map<String, Value>, place: &str, fields: &[&str]) -> Result<(), PolicyError> {
    match object.keys().find(|key| !fields.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => Err(malformed(place, format!("field `{key}` is not known"))),
    }
}

fn either<'a>(
    object: &'a Map<String, Value>,
    place: &str,
    name: &str,
    negated: &str,
) -> Result<(&'a Value, bool), PolicyError> {
    match (object.get(name), object.get(negated)) {
        (Some(value), None) => Ok((value, false)),
        (None, Some(value)) => Ok((value, true)),
        _ => Err(malformed(place, format!("exactly one of `{name}` and `{negated}` is needed"))),
    }
}

/// A text or a list of texts, never empty.
pub(super) fn texts(value: &Value, place: &str, field: &str) -> Result<Vec<String>, PolicyError> {
    let list = match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(values) => {
            let texts: Option<Vec<String>> = values.iter().map(|v| v.as_str().map(str::to_owned)).collect();
            texts.ok_or_else(|| malformed(place, format!("`{field}` holds something that is not a text")))?
        }
        _ => return Err(malformed(place, format!("`{field}` is neither a text nor a list"))),
    };
    if list.is_empty() { Err(malformed(place, format!("`{field}` is empty"))) } else { Ok(list) }
}

fn malformed(place: impl Into<String>, problem: impl Into<String>) -> PolicyError {
    PolicyError::Malformed { place: place.into(), problem: problem.into() }
}
