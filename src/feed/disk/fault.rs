//! Why the disk did not take something, in words for the sender and for the metric.

use std::{
    io::{self, ErrorKind},
    time::Duration,
};

use super::super::Unavailable;

/// Space comes back by hand or by trimming: not within a second.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The label and the sentence.
pub(super) fn reason(error: &io::Error) -> (&'static str, &'static str) {
    match error.kind() {
        ErrorKind::StorageFull => ("full", "the disk is full"),
        ErrorKind::QuotaExceeded => ("quota", "the disk quota is used up"),
        ErrorKind::FileTooLarge => ("file_size", "the limit on the size of files is reached"),
        ErrorKind::ReadOnlyFilesystem => ("read_only", "the disk is read-only"),
        ErrorKind::PermissionDenied => ("denied", "the feed's folder may not be written"),
        ErrorKind::NotFound => ("gone", "the feed's folder is gone"),
        _ => ("failed", "the disk fails"),
    }
}

/// What the sender is told.
pub(super) fn unavailable(reason: &'static str) -> Unavailable {
    let retry_after = RETRY_AFTER;
    Unavailable {
        reason,
        retry_after,
    }
}
