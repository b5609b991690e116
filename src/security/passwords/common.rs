//! The embedded list of common passwords; `common.md` beside it says where it is from.

/// Lower-case, NFC, sorted by bytes, one a line.
const COMMON: &str = include_str!("common.txt");

/// Whether a password, already in NFC and lower case, is on the list.
pub(super) fn is_common(lower_case: &str) -> bool {
    has_line(COMMON, lower_case)
}

/// Binary search over sorted lines, by byte offsets: an index would cost memory and a start.
pub(super) fn has_line(sorted: &str, wanted: &str) -> bool {
    let bytes = sorted.as_bytes();
    let slice = |from: usize, to: usize| bytes.get(from..to).unwrap_or_default();
    let (mut low, mut high) = (0, bytes.len());
    while low < high {
        let middle = usize::midpoint(low, high);
        // The line around the middle; a line feed belongs to the line that it ends.
        let before = slice(low, middle).iter().rposition(|byte| *byte == b'\n');
        let start = before.map_or(low, |at| low.saturating_add(at).saturating_add(1));
        let after = slice(middle, high).iter().position(|byte| *byte == b'\n');
        let end = after.map_or(high, |at| middle.saturating_add(at));
        match slice(start, end).cmp(wanted.as_bytes()) {
            std::cmp::Ordering::Equal => return true,
            std::cmp::Ordering::Less => low = end.saturating_add(1),
            std::cmp::Ordering::Greater => high = start,
        }
    }
    false
}
