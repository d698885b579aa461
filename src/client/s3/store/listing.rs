//! Listings, a page at a time.
//!
//! Invariants: one page is held at a time where a stream is asked for; a key that no path can name is an error that names it, except
//! the empty objects ending in `/` that some clients make for folders, which are left out.

use super::{
    super::{Listing, ObjectEntry, S3Request, documents::listing},
    BucketStore,
    errors::{failed, generic},
};
use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use object_store::{Error, ListResult, ObjectMeta, Result, path::Path};
use reqwest::Method;

const DELIMITER: &str = "/";

/// What is asked of one page.
#[derive(Debug, Clone, Default)]
pub(super) struct Page<'a> {
    pub prefix: &'a str,
    pub delimiter: &'a str,
    /// Key after which the first page begins.
    pub after: Option<&'a str>,
    /// Where a later page begins.
    pub token: Option<&'a str>,
    /// Most entries.
    pub max: Option<usize>,
}

/// Keys below a path.
fn prefix_of(path: Option<&Path>) -> String {
    match path.filter(|path| !path.is_root()) {
        Some(path) => format!("{path}{DELIMITER}"),
        None => String::new(),
    }
}

impl BucketStore {
    pub(super) async fn page(&self, page: &Page<'_>) -> Result<Listing> {
        let mut request = S3Request::new(Method::GET, self.bucket())
            .query("list-type", "2")
            .query("encoding-type", "url")
            .query("prefix", page.prefix);
        let max = page.max.map(|max| max.to_string());
        let fields = [
            ("delimiter", Some(page.delimiter).filter(|delimiter| !delimiter.is_empty())),
            ("start-after", page.after.filter(|after| !after.is_empty() && page.token.is_none())),
            ("continuation-token", page.token),
            ("max-keys", max.as_deref()),
        ];
        for (name, value) in fields {
            if let Some(value) = value {
                request = request.query(name, value);
            }
        }
        let path = format!("{}/{}", self.bucket(), page.prefix);
        let document = self.endpoints().read_document(request).await.map_err(|failure| failed(&path, failure))?;
        let nonsense = |reason: &str| generic(format!("the listing of `{path}` makes no sense: {reason}"));
        let listed = listing(&document).map_err(|reason| nonsense(&reason))?;
        match listed.next.as_deref() {
            // Or it would be asked for forever.
            Some(next) if page.token == Some(next) => Err(nonsense("a page is followed by itself")),
            _ => Ok(listed),
        }
    }

    /// Objects of a page.
    pub(super) fn objects_of(&self, entries: Vec<ObjectEntry>) -> Result<Vec<ObjectMeta>> {
        let named = entries.into_iter().filter(|entry| entry.size > 0 || !entry.key.ends_with(DELIMITER));
        named.map(|entry| self.object(entry)).collect()
    }

    fn object(&self, entry: ObjectEntry) -> Result<ObjectMeta> {
        let last_modified = entry.modified.parse().map_err(|_| {
            generic(format!("`{}/{}` was changed at `{}`, which is no date", self.bucket(), entry.key, entry.modified))
        })?;
        Ok(ObjectMeta {
            location: self.named(&entry.key, &entry.key)?,
            last_modified,
            size: entry.size,
            e_tag: Some(format!("\"{}\"", entry.etag)).filter(|_| !entry.etag.is_empty()),
            version: None,
        })
    }

    /// What keys have in common, as paths.
    pub(super) fn prefixes_of(&self, prefixes: &[String]) -> Result<Vec<Path>> {
        prefixes.iter().map(|prefix| self.named(prefix, prefix.strip_suffix(DELIMITER).unwrap_or(prefix))).collect()
    }

    /// The path that is exactly this text.
    fn named(&self, key: &str, text: &str) -> Result<Path> {
        let path = Path::parse(text).ok().filter(|path| path.as_ref() == text && !text.is_empty());
        path.ok_or_else(|| generic(format!("no path can name key `{key}` of bucket `{}`", self.bucket())))
    }

    pub(super) fn listed(&self, prefix: Option<&Path>, after: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (this, prefix, after) = (self.clone(), prefix_of(prefix), after.map(Path::to_string));
        // None when there is no further page; the token of the next one, which the first has not.
        let pages = stream::try_unfold(Some(None), move |turn: Option<Option<String>>| {
            let (this, prefix, after) = (this.clone(), prefix.clone(), after.clone());
            async move {
                let Some(token) = turn else { return Ok::<_, Error>(None) };
                let (token, after) = (token.as_deref(), after.as_deref());
                let page = this.page(&Page { prefix: &prefix, after, token, ..Page::default() }).await?;
                let objects = this.objects_of(page.objects)?;
                Ok(Some((stream::iter(objects).map(Ok::<_, Error>), page.next.map(Some))))
            }
        });
        pages.try_flatten().boxed()
    }

    pub(super) async fn folder(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let prefix = prefix_of(prefix);
        let (mut objects, mut common_prefixes, mut token) = (Vec::new(), Vec::new(), None::<String>);
        loop {
            let page = Page { prefix: &prefix, delimiter: DELIMITER, token: token.as_deref(), ..Page::default() };
            let listed = self.page(&page).await?;
            objects.extend(self.objects_of(listed.objects)?);
            common_prefixes.extend(self.prefixes_of(&listed.prefixes)?);
            token = listed.next;
            if token.is_none() {
                return Ok(ListResult { common_prefixes, objects, extensions: Default::default() });
            }
        }
    }
}
