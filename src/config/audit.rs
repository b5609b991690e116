//! The `audit` section: the audit trail.

use super::reader::Reader;

/// The `audit` section.
#[derive(Clone, Debug)]
pub struct AuditConfig {
    /// Days after which an event is removed; 0 to keep all of them.
    pub retention_days: u32,
}

impl AuditConfig {
    pub(super) fn read(r: &mut Reader) -> Self {
        Self {
            retention_days: r.number(
                "audit.retention_days",
                365,
                0..=36_500,
                "Days after which an event is removed from the audit trail; 0 to keep all of them",
            ),
        }
    }
}
