//! Forms: their fields, and the token that says that a page of this very session sent them.

use axum::body::Bytes;
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use zeroize::Zeroizing;

use super::session::SignedIn;
use super::{Console, Fault};

/// The fields of a form or of an address, in their order.
#[derive(Debug, Clone, Default)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads `application/x-www-form-urlencoded` (WHATWG URL, section 5.1). What is no UTF-8 is replaced.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).take(FIELDS_MAX).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        });
        Self(pairs.collect())
    }

    /// The first value of a field; `None` when it is not there.
    #[must_use]
    pub fn get<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).next()
    }

    /// The value of a field that has to be there.
    ///
    /// # Errors
    /// [`Fault::Form`].
    pub fn required(&self, name: &'static str) -> Result<&str, Fault> {
        self.get(name).ok_or(Fault::Form("a field is missing"))
    }

    /// Every value of a field, in their order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// A form that somebody signed in sent from a page of their own session.
pub struct SignedForm {
    /// Who.
    pub who: SignedIn,
    /// What they filled in, the token apart.
    pub fields: Fields,
}

impl FromRequest<Console> for SignedForm {
    type Rejection = Response;
    async fn from_request(request: Request, console: &Console) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let who = SignedIn::find(&mut parts, console).await?;
        let fields =
            fields(Request::from_parts(parts, body), console).await.map_err(IntoResponse::into_response)?;
        let token = fields.get(TOKEN_FIELD).unwrap_or_default();
        if !who.token().is(token) {
            return Err(Fault::Token.into_response());
        }
        Ok(Self { who, fields })
    }
}

/// The same with a file in it (RFC 7578).
pub struct SignedUpload {
    /// Who.
    pub who: SignedIn,
    /// What they filled in, the token and the file apart.
    pub fields: Fields,
    /// What is in the file; empty where none was chosen.
    pub file: Zeroizing<Vec<u8>>,
}

impl FromRequest<Console> for SignedUpload {
    type Rejection = Response;
    async fn from_request(request: Request, console: &Console) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let who = SignedIn::find(&mut parts, console).await?;
        let parts = Multipart::from_request(Request::from_parts(parts, body), console).await;
        let parts = parts.map_err(|_| Fault::Form(NO_FORM_OF_OURS).into_response())?;
        let (fields, file) = uploaded(parts).await.map_err(IntoResponse::into_response)?;
        if !who.token().is(fields.get(TOKEN_FIELD).unwrap_or_default()) {
            return Err(Fault::Token.into_response());
        }
        Ok(Self { who, fields, file })
    }
}

async fn uploaded(mut parts: Multipart) -> Result<(Fields, Zeroizing<Vec<u8>>), Fault> {
    let (mut fields, mut file) = (Vec::new(), Zeroizing::default());
    while let Some(part) = parts.next_field().await.map_err(|_| Fault::Form(NO_FILE_OF_OURS))? {
        let (name, is_file) = (part.name().unwrap_or_default().to_owned(), part.file_name().is_some());
        let content = part.bytes().await.map_err(|_| Fault::Form(NO_FILE_OF_OURS))?;
        if is_file {
            file = Zeroizing::new(content.to_vec());
        } else if fields.len() < FIELDS_MAX {
            fields.push((name, String::from_utf8_lossy(&content).into_owned()));
        }
    }
    Ok((Fields(fields), file))
}

/// The fields of a form, whoever sent it.
pub(super) async fn fields(request: Request, console: &Console) -> Result<Fields, Fault> {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.split(';').next().map(str::trim) != Some("application/x-www-form-urlencoded") {
        return Err(Fault::Form(NO_FORM_OF_OURS));
    }
    let body = Bytes::from_request(request, console).await;
    let body = body.map_err(|_| Fault::Form("it is too long or broke off"))?;
    let text = std::str::from_utf8(&body).map_err(|_| Fault::Form(NO_FORM_OF_OURS))?;
    Ok(Fields::parse(text))
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match (first, after) {
            (b'+', _) => bytes.push(b' '),
            (b'%', [high, low, behind @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let digit =
                    |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                bytes.push(digit(*high).unwrap_or(0) << 4 | digit(*low).unwrap_or(0));
                rest = behind;
            }
            (byte, _) => bytes.push(*byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

const NO_FORM_OF_OURS: &str = "it is not in the form that pages send";
const NO_FILE_OF_OURS: &str = "its file is too large or broke off";
/// The hidden field of every form that changes something.
pub(super) const TOKEN_FIELD: &str = "token";
/// More than any page has, fewer than are work.
const FIELDS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_browsers_write_them() {
        let fields = Fields::parse("name=T%C4%81ne+%2B+%26&field=a&field=b&empty=&bare&odd=%zz%4");
        assert_eq!(fields.get("name"), Some("Tāne + &"));
        assert_eq!(fields.all("field").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((fields.get("empty"), fields.get("bare"), fields.get("none")), (Some(""), Some(""), None));
        assert_eq!(fields.get("odd"), Some("%zz%4"));
    }
}
