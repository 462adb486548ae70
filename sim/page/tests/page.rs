//! The page as a browser shows it, and how large it is.

mod made;

use std::path::Path;

use quorate_page::html::page;

/// What a hundred thousand events may take.
const PAGE_BYTES_MAX: usize = 5_000_000;

fn write(name: &str, page: &str) -> std::path::PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, page).expect("the folder for tests can be written to");
    path
}

#[test]
fn a_hundred_thousand_events_are_below_5_mb() {
    let document = made::made(5, 100_000, 7);
    assert!(document.events.len() >= 100_000);
    let page = page("large", &[document]);
    println!("100,000 events: {} bytes", page.len());
    assert!(page.len() <= PAGE_BYTES_MAX, "{} bytes", page.len());
    write("large.html", &page);
}

#[test]
fn small() {
    let storm = made::made(3, 900, 3);
    let mut shrunk = made::made(3, 200, 5);
    shrunk.name = "shrunk".to_owned();
    write("storm.html", &page("storm", &[storm.clone()]));
    write("both.html", &page("both", &[storm, shrunk]));
}
