//! Cross-origin rules: which origin may ask what, and the headers that tell a browser so.

use super::policy::wildcard;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use s3s::dto::CORSRule;

/// Most rules of a bucket.
pub const RULES_MAX: usize = 100;
/// Methods a rule may name.
const METHODS: [&str; 5] = ["GET", "PUT", "HEAD", "POST", "DELETE"];

/// What a browser says about a request.
#[derive(Debug, Clone, Copy)]
pub struct CrossOrigin<'a> {
    /// Header `Origin`.
    pub origin: &'a str,
    /// The method, or the one a preflight announces.
    pub method: &'a str,
    /// Headers a preflight announces, separated by commas.
    pub headers: Option<&'a str>,
}

/// Refuses rules that mean nothing.
pub fn check(rules: &[CORSRule]) -> Result<(), String> {
    if rules.is_empty() || rules.len() > RULES_MAX {
        return Err(format!("{} rules, expected 1 to {RULES_MAX}", rules.len()));
    }
    for rule in rules {
        if rule.allowed_origins.is_empty() || rule.allowed_methods.is_empty() {
            return Err("a rule needs at least one origin and one method".to_owned());
        }
        if let Some(method) = rule.allowed_methods.iter().find(|m| !METHODS.contains(&m.as_str())) {
            return Err(format!("Found unsupported HTTP method in CORS config. Unsupported method is {method}"));
        }
        let starred = rule.allowed_origins.iter().chain(rule.allowed_headers.iter().flatten());
        if let Some(text) = starred.into_iter().find(|text| text.matches('*').count() > 1) {
            return Err(format!("`{text}` has more than one wildcard"));
        }
    }
    Ok(())
}

/// The first rule that lets a request through.
pub fn find<'a>(rules: &'a [CORSRule], asked: CrossOrigin<'_>) -> Option<&'a CORSRule> {
    rules.iter().find(|rule| {
        rule.allowed_origins.iter().any(|origin| wildcard(origin, asked.origin))
            && rule.allowed_methods.iter().any(|method| method == asked.method)
            && headers_of(asked.headers).all(|name| allows_header(rule, name))
    })
}

fn headers_of(list: Option<&str>) -> impl Iterator<Item = &str> {
    list.unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty())
}

fn allows_header(rule: &CORSRule, name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    rule.allowed_headers.iter().flatten().any(|allowed| wildcard(&allowed.to_ascii_lowercase(), &name))
}

/// The headers of an answer under `rule`.
pub fn answer(rule: &CORSRule, asked: CrossOrigin<'_>, preflight: bool) -> HeaderMap {
    let mut out = HeaderMap::new();
    let everybody = rule.allowed_origins.iter().any(|origin| origin == "*");
    set(&mut out, header::ACCESS_CONTROL_ALLOW_ORIGIN, if everybody { "*" } else { asked.origin });
    if !everybody {
        set(&mut out, header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
    }
    let vary = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method";
    set(&mut out, header::VARY, vary);
    set(&mut out, header::ACCESS_CONTROL_ALLOW_METHODS, &rule.allowed_methods.join(", "));
    if let Some(exposed) = rule.expose_headers.as_ref().filter(|list| !list.is_empty()) {
        set(&mut out, header::ACCESS_CONTROL_EXPOSE_HEADERS, &exposed.join(", "));
    }
    if preflight {
        let allowed: Vec<String> = headers_of(asked.headers).map(str::to_ascii_lowercase).collect();
        if !allowed.is_empty() {
            set(&mut out, header::ACCESS_CONTROL_ALLOW_HEADERS, &allowed.join(", "));
        }
        if let Some(seconds) = rule.max_age_seconds {
            set(&mut out, header::ACCESS_CONTROL_MAX_AGE, &seconds.to_string());
        }
    }
    out
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(origins: &[&str], methods: &[&str], headers: &[&str]) -> CORSRule {
        let list = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
        CORSRule {
            allowed_headers: Some(list(headers)),
            allowed_methods: list(methods),
            allowed_origins: list(origins),
            expose_headers: Some(list(&["ETag"])),
            id: None,
            max_age_seconds: Some(60),
        }
    }

    #[test]
    fn the_first_rule_that_fits_answers() {
        let rules = [rule(&["https://*.a.example"], &["GET"], &[]), rule(&["*"], &["PUT"], &["x-amz-*"])];
        let ask = |origin, method, headers| CrossOrigin { origin, method, headers };
        for (asked, fits) in [
            (ask("https://x.a.example", "GET", None), Some(0)),
            (ask("http://x.a.example", "GET", None), None),
            (ask("https://x.a.example", "GET", Some("x-amz-date")), None),
            (ask("https://b.example", "PUT", Some("X-Amz-Date, x-amz-acl")), Some(1)),
            (ask("https://b.example", "PUT", Some("content-type")), None),
            (ask("https://b.example", "DELETE", None), None),
        ] {
            let found = find(&rules, asked).map(|found| rules.iter().position(|r| std::ptr::eq(r, found)).unwrap());
            assert_eq!(found, fits, "{asked:?}");
        }
        let asked = ask("https://b.example", "PUT", Some("X-Amz-Date"));
        let headers = answer(&rules[1], asked, true);
        assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_HEADERS], "x-amz-date");
        assert_eq!(headers[header::ACCESS_CONTROL_MAX_AGE], "60");
        assert_eq!(headers[header::ACCESS_CONTROL_EXPOSE_HEADERS], "ETag");
        let asked = ask("https://x.a.example", "GET", None);
        let headers = answer(&rules[0], asked, false);
        assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "https://x.a.example");
        assert!(!headers.contains_key(header::ACCESS_CONTROL_MAX_AGE));
    }

    #[test]
    fn senseless_rules_are_refused() {
        assert!(check(&[]).is_err());
        assert!(check(&[rule(&["*"], &["PATCH"], &[])]).unwrap_err().contains("PATCH"));
        assert!(check(&[rule(&["a*b*"], &["GET"], &[])]).is_err());
        assert!(check(&[rule(&[], &["GET"], &[])]).is_err());
        assert!(check(&[rule(&["*"], &["GET"], &["*"])]).is_ok());
    }
}
