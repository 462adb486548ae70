//! The style and the script parts that the page of a live cluster shares with the page of a run.

/// The style shared by all pages.
pub const STYLE: &str = include_str!("../assets/style/base.css");

/// The script parts for elements, words, colours, log indices and bars, in the order of their
/// dependencies.
pub const PARTS: [&str; 5] = [
    include_str!("../assets/parts/elements.js"),
    include_str!("../assets/parts/words.js"),
    include_str!("../assets/parts/paint.js"),
    include_str!("../assets/parts/ladder.js"),
    include_str!("../assets/parts/bar.js"),
];
