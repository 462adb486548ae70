//! A line-based difference between the expected and the printed output.

/// Returns the lines of both lists in order: `-` marks expected ones, `+` printed ones.
pub(crate) fn diff(expected: &[String], printed: &[String]) -> Vec<String> {
    let common = common_suffixes(expected, printed);
    let (mut left, mut right) = (0, 0);
    let mut lines = Vec::new();
    while left < expected.len() || right < printed.len() {
        let same =
            left < expected.len() && right < printed.len() && expected[left] == printed[right];
        if same {
            lines.push(format!("  {}", expected[left]));
            (left, right) = (left + 1, right + 1);
        } else if right == printed.len()
            || left < expected.len() && common[left + 1][right] >= common[left][right + 1]
        {
            lines.push(format!("- {}", expected[left]));
            left += 1;
        } else {
            lines.push(format!("+ {}", printed[right]));
            right += 1;
        }
    }
    lines
}

/// Returns, at `[i][j]`, the length of the longest common subsequence of `expected[i..]` and
/// `printed[j..]`.
fn common_suffixes(expected: &[String], printed: &[String]) -> Vec<Vec<usize>> {
    let mut common = vec![vec![0; printed.len() + 1]; expected.len() + 1];
    for left in (0..expected.len()).rev() {
        for right in (0..printed.len()).rev() {
            common[left][right] = if expected[left] == printed[right] {
                common[left + 1][right + 1] + 1
            } else {
                common[left + 1][right].max(common[left][right + 1])
            };
        }
    }
    common
}
