//! The summary as a self-contained HTML page: no script, no network access, light or dark theme.

use crate::cli::exit::Exit;
use crate::cli::report::content::Report;
use crate::cli::report::table;
use crate::cli::text::{Finding, grouped};
use crate::observe::coverage::MARKS;

/// The style of all reports.
pub(crate) const STYLE: &str = "\
:root{color-scheme:light dark;--line:#8884;--bad:light-dark(#b00020,#ff8a80);\
--good:light-dark(#1b6e2e,#8fd19e)}
body{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}
table{border-collapse:collapse;width:100%}
td,th{border-bottom:1px solid var(--line);padding:.25rem .75rem .25rem 0;\
text-align:left;vertical-align:top}
th{font-weight:600;white-space:nowrap}td.n{text-align:right}
code{font:13px ui-monospace,monospace;user-select:all}
.bad{color:var(--bad)}.good{color:var(--good)}
@media print{body{margin:0}}";

/// Returns the HTML page of a report.
pub(crate) fn document(report: &Report) -> String {
    let verdict = escaped(&report.verdict());
    let class = if report.exit() == Exit::Success { "good" } else { "bad" };
    let (program, subject) = (escaped(&report.program), escaped(&report.subject()));
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{program}: {verdict}</title>\n<style>\n{STYLE}\n</style>\n</head>\n<body>\n\
         <h1>{program}, {subject}: <span class=\"{class}\">{verdict}</span></h1>\n"
    );
    page.push_str(&failures(report));
    page.push_str("<h2>Summary</h2>\n<table>\n");
    for (label, value) in table::rows(report) {
        let (label, value) = (escaped(label.trim()), escaped(&value));
        page.push_str(&format!("<tr><th scope=\"row\">{label}</th><td>{value}</td></tr>\n"));
    }
    page.push_str("</table>\n");
    page.push_str(&coverage(report));
    page.push_str("</body>\n</html>\n");
    page
}

fn failures(report: &Report) -> String {
    if report.summary.failed.is_empty() {
        return String::new();
    }
    let mut text = "<h2>Failed seeds</h2>\n<table>\n<tr><th>Seed</th><th>Check</th>\
                    <th>Detail</th><th>Simulated time</th><th>Replay</th></tr>\n"
        .to_owned();
    for failed in &report.summary.failed {
        let finding = Finding::of(&failed.failure);
        text.push_str(&format!(
            "<tr><td>{}</td><td class=\"bad\">{}</td><td>{}</td><td>{}</td>\
             <td><code>{}</code></td></tr>\n",
            failed.seed,
            escaped(&finding.check),
            escaped(&finding.detail),
            finding.at.unwrap_or_default(),
            escaped(&report.seed_line(failed.seed)),
        ));
    }
    text.push_str("</table>\n");
    text
}

fn coverage(report: &Report) -> String {
    let mut text = "<h2>Coverage marks</h2>\n<table>\n<tr><th>Mark</th><th>Required</th>\
                    <th class=\"n\">Seeds</th></tr>\n"
        .to_owned();
    for (mark, seeds) in MARKS.iter().zip(&report.summary.marks) {
        let missed = mark.required && *seeds == 0 && report.must_reach_marks();
        let class = if missed { " class=\"bad\"" } else { "" };
        let profile = report.seed_options.profile;
        let required = match (profile.may_reach(mark.name), mark.required) {
            (false, _) => "not in this profile",
            (true, true) if report.requires_marks() => "required from 1,000 seeds on",
            (true, _) => "optional",
        };
        let (name, seeds) = (escaped(mark.name), grouped(*seeds));
        text.push_str(&format!(
            "<tr{class}><td>{name}</td><td>{required}</td><td class=\"n\">{seeds}</td></tr>\n"
        ));
    }
    text.push_str("</table>\n");
    text
}

/// Returns the text with the characters that HTML reserves escaped.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
