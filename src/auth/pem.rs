//! Public keys out of a PEM file (RFC 7468). No ASN.1 is read here: what stands
//! between the lines goes to the crypto library as it is.

use base64::{Engine, engine::general_purpose::STANDARD};
use rustls::{pki_types::CertificateDer, server::ParsedCertificate};

use super::NotAKey;

/// The DER of each public key, at least one.
pub(super) fn public_keys(pem: &[u8]) -> Result<Vec<Vec<u8>>, NotAKey> {
    let text = std::str::from_utf8(pem).map_err(|_| wrong("the file is not PEM text"))?;
    let mut keys = Vec::new();
    let mut rest = text;
    while let Some((_, begun)) = rest.split_once("-----BEGIN ") {
        let (label, body) = begun.split_once("-----").ok_or_else(cut_short)?;
        let end = format!("-----END {label}-----");
        let (body, after) = body.split_once(end.as_str()).ok_or_else(cut_short)?;
        keys.push(public_key(label, body)?);
        rest = after;
    }
    if keys.is_empty() {
        return Err(wrong("the file has no `-----BEGIN PUBLIC KEY-----`"));
    }
    Ok(keys)
}

fn public_key(label: &str, body: &str) -> Result<Vec<u8>, NotAKey> {
    let body: String = body.split_ascii_whitespace().collect();
    let der = STANDARD
        .decode(body)
        .map_err(|_| wrong("the file is not PEM: its base64 is broken"))?;
    match label {
        "PUBLIC KEY" | "RSA PUBLIC KEY" => Ok(der),
        "CERTIFICATE" => certified_key(der),
        _ if label.ends_with("PRIVATE KEY") => Err(wrong(
            "the file holds a private key: only the public one belongs here",
        )),
        _ => Err(NotAKey(format!(
            "the file holds a `{label}`, which is no public key"
        ))),
    }
}

fn certified_key(der: Vec<u8>) -> Result<Vec<u8>, NotAKey> {
    let certificate = CertificateDer::from(der);
    let parsed = ParsedCertificate::try_from(&certificate)
        .map_err(|_| wrong("the file holds a certificate that cannot be read"))?;
    Ok(parsed.subject_public_key_info().to_vec())
}

fn cut_short() -> NotAKey {
    wrong("the file is not PEM: a key has no end")
}

fn wrong(why: &str) -> NotAKey {
    NotAKey(why.to_owned())
}
