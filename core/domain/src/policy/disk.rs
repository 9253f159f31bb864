//! What becomes of a workspace's disk when its template is another one than when it was made.

use crate::api::{WorkspaceWarning, WorkspaceWarningCode as Code};

/// What a build does about the size of a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiskWish {
    /// Nothing is wished that is not there.
    Met,
    /// It grows to this many bytes.
    Grows(u64),
    /// It stays as it is, and whoever looks is told.
    Unmet(WorkspaceWarning),
}

/// Of a workspace's size and its template's, in bytes: a disk can grow and not shrink, and whoever has none does not get
/// one under what is there. Zero is a workspace that shall have none.
pub fn disk_wish(has: Option<u64>, template: Option<u64>) -> DiskWish {
    let Some(wanted) = template.filter(|bytes| *bytes > 0) else { return DiskWish::Met };
    let unmet = |code, message| DiskWish::Unmet(WorkspaceWarning { code, message });
    let instead = "a new workspace of the template would have it";
    match has {
        Some(0) => DiskWish::Met,
        Some(has) if has < wanted => DiskWish::Grows(wanted),
        Some(has) if has == wanted => DiskWish::Met,
        Some(has) => unmet(
            Code::DiskNotShrunk,
            format!(
                "the template says a disk of {wanted} bytes; it stays at {has}, as disks do not shrink; {instead}"
            ),
        ),
        None => unmet(
            Code::DiskNotMade,
            format!(
                "the template says a disk of {wanted} bytes; none is made under what is there; {instead}"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_grows_with_its_template_and_whoever_gets_less_is_told() {
        let code = |has, template| match disk_wish(has, template) {
            DiskWish::Unmet(warning) => Some(warning.code),
            _ => None,
        };
        for (has, template) in [(None, None), (Some(5), None), (Some(5), Some(5)), (Some(5), Some(0))] {
            assert_eq!(disk_wish(has, template), DiskWish::Met, "{has:?} {template:?}");
        }
        assert_eq!(disk_wish(Some(0), Some(5)), DiskWish::Met, "it was asked to have none");
        assert_eq!(disk_wish(Some(4), Some(5)), DiskWish::Grows(5));
        assert_eq!(code(Some(6), Some(5)), Some(Code::DiskNotShrunk));
        assert_eq!(code(None, Some(5)), Some(Code::DiskNotMade));
        for code in Code::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
    }
}
