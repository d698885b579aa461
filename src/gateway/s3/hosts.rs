//! Which bucket a host name stands for: `<bucket>.<domain>`, and `<bucket>.s3-website.<domain>` for websites.
//!
//! Any other host is the service itself, whose buckets are in the path.

use s3s::{
    S3Result,
    host::{S3Host, VirtualHost},
};

/// What stands between bucket and domain of a website.
const WEBSITE: &str = ".s3-website";

/// The domain buckets are under.
#[derive(Debug, Clone)]
pub struct Hosts {
    domain: Option<String>,
}

impl Hosts {
    /// Buckets under `domain`; under none when it is empty.
    pub fn new(domain: &str) -> Self {
        Self { domain: Some(domain.to_ascii_lowercase()).filter(|domain| !domain.is_empty()) }
    }

    /// The bucket a host header names.
    pub fn bucket(&self, host: &str) -> Option<String> {
        self.label(host).filter(|label| !label.ends_with(WEBSITE))
    }

    /// The bucket whose website a host header names.
    pub fn website(&self, host: &str) -> Option<String> {
        self.label(host)?.strip_suffix(WEBSITE).map(str::to_owned)
    }

    fn label(&self, host: &str) -> Option<String> {
        let domain = self.domain.as_deref()?;
        let name = host
            .rsplit_once(':')
            .map_or(host, |(name, port)| if port.bytes().all(|b| b.is_ascii_digit()) { name } else { host });
        let name = name.to_ascii_lowercase();
        let label = name.strip_suffix(domain)?.strip_suffix('.')?;
        (!label.is_empty()).then(|| label.to_owned())
    }
}

impl S3Host for Hosts {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let found = VirtualHost::new(host);
        Ok(match self.bucket(host) {
            Some(bucket) => found.with_bucket(bucket),
            None => found,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_under_the_domain() {
        let hosts = Hosts::new("s3.Example.org");
        for (host, bucket, website) in [
            ("s3.example.org", None, None),
            ("photos.s3.example.org:8080", Some("photos"), None),
            ("Photos.s3.example.ORG", Some("photos"), None),
            ("my.photos.s3.example.org", Some("my.photos"), None),
            ("photos.s3-website.s3.example.org", None, Some("photos")),
            ("photos.example.org", None, None),
            ("evils3.example.org", None, None),
            ("127.0.0.1:9000", None, None),
            ("[::1]:9000", None, None),
        ] {
            assert_eq!(hosts.bucket(host).as_deref(), bucket, "{host}");
            assert_eq!(hosts.website(host).as_deref(), website, "{host}");
        }
        assert_eq!(Hosts::new("").bucket("photos.s3.example.org"), None);
    }
}
