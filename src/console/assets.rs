//! Files that are the same for everybody: style, script and icon, built in. Their names carry the hash of what is in
//! them, so that browsers keep them for good.

use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::{Console, Fault};
use crate::ids::Digest;

/// Whether the console's style was built in.
#[must_use]
pub const fn is_built() -> bool {
    STYLE.is_some()
}

/// What to do where it was not.
pub const NO_STYLE: &str = "this executable was built without the console's style; run `make build`, or `make assets` \
                            and `cargo build --release` again, or take the section `[console]` out";

/// A file that is built in.
struct Asset {
    path: String,
    content_type: &'static str,
    bytes: &'static [u8],
}

impl Asset {
    fn new(name: &str, extension: &str, content_type: &'static str, bytes: &'static [u8]) -> Self {
        let hash: String = Digest::sha256(bytes).to_string().chars().take(HASH_SHOWN_CHARS).collect();
        Self { path: format!("{FOLDER}{name}-{hash}.{extension}"), content_type, bytes }
    }
}

/// Where pages find the files.
#[derive(Debug, Clone, Copy)]
pub(super) struct AssetPaths {
    pub(super) style: &'static str,
    pub(super) passkey: &'static str,
    pub(super) icon: &'static str,
}

/// Where pages find the files.
pub(super) fn paths() -> AssetPaths {
    let [style, passkey, icon] = &*ASSETS;
    AssetPaths { style: &style.path, passkey: &passkey.path, icon: &icon.path }
}

/// The files.
pub(super) fn routes() -> Router<Console> {
    Router::new().route("/assets/{name}", get(asset))
}

async fn asset(Path(name): Path<String>) -> Result<Response, Fault> {
    let named = |asset: &&Asset| asset.path.strip_prefix(FOLDER) == Some(name.as_str());
    let asset = ASSETS.iter().find(named).ok_or(Fault::NotFound)?;
    let mut reply = asset.bytes.into_response();
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(asset.content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    Ok(reply)
}

static ASSETS: LazyLock<[Asset; 3]> = LazyLock::new(|| {
    [
        Asset::new("console", "css", "text/css; charset=utf-8", STYLE.unwrap_or_default()),
        Asset::new("passkey", "js", "text/javascript; charset=utf-8", include_bytes!("../../web/passkey.js")),
        Asset::new("icon", "svg", "image/svg+xml", include_bytes!("../../web/icon.svg")),
    ]
});

const STYLE: Option<&[u8]> = include!(concat!(env!("OUT_DIR"), "/style.rs"));
const FOLDER: &str = "/assets/";
const HASH_SHOWN_CHARS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_by_what_is_in_it() {
        let [one, same, other] =
            [b"a", b"a", b"b"].map(|bytes| Asset::new("x", "css", "text/css", bytes).path);
        assert_eq!(one, same);
        assert_ne!(one, other, "a changed file needs another name, because browsers keep the old one");
    }

    #[test]
    fn the_style_has_nothing_of_another_host_nor_of_another_brand() {
        let style = std::str::from_utf8(STYLE.expect(NO_STYLE)).unwrap();
        for foreign in ["url(", "@import", "GDS Transport", "-crest", "-crown"] {
            assert!(!style.contains(foreign), "`{foreign}` must not be in the style");
        }
    }
}
