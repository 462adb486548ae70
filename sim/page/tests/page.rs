//! The page in a browser, and its size.

mod browser;
mod made;

use quorate_page::document::{Delivery, Document, Event, Lane, State, Table};
use quorate_page::html::page;
use quorate_page::text::printable;

use browser::run_script;

/// The maximum size of a page with a hundred thousand events, in bytes.
const PAGE_BYTES_MAX: usize = 5_000_000;

#[test]
fn a_hundred_thousand_events_are_below_5_mb_and_are_drawn() {
    let document = made::made(5, 100_000, 7);
    assert!(document.events.len() >= 100_000);
    let page = page("large", &[document]);
    println!("100,000 events: {} bytes", page.len());
    assert!(page.len() <= PAGE_BYTES_MAX, "{} bytes", page.len());
    let script = "
        const { timeline, run } = page.pane;
        const { view } = timeline;
        report(run.events);
        page.choose(50000);
        for (const share of [1, 0.1, 0.01, 0.001]) {
            view.fit();
            view.zoom(share, view.x(run.at[50000]));
            const times = [];
            for (let again = 0; again < 15; again++) {
                const start = performance.now();
                timeline.drawNow();
                // Reads a pixel to wait for the end of the drawing.
                timeline.canvas.getContext('2d').getImageData(0, 0, 1, 1);
                times.push(performance.now() - start);
            }
            times.sort((one, two) => one - two);
            const { arrows, arrowsSeen } = timeline.scene;
            const { width, height } = timeline.canvas;
            const pixels = timeline.canvas.getContext('2d').getImageData(0, 0, width, height).data;
            const colours = new Set(new Uint32Array(pixels.buffer)).size;
            report(`${share} of the run: ${times[7].toFixed(1)} ms for ${arrows.length} of `
                + `${arrowsSeen} arrows${colours > 3 && arrows.length > 0 ? ', drawn' : ''}`);
        }
        const start = performance.now();
        page.choose(99000);
        report(`choosing an event: ${(performance.now() - start).toFixed(1)} ms`);";
    let Some(lines) = run_script("large", &page, "", script) else { return };
    lines.iter().for_each(|line| println!("{line}"));
    assert_eq!((lines[0].as_str(), lines.len()), ("100000", 6), "{lines:?}");
    assert!(lines[1..5].iter().all(|line| line.ends_with(" arrows, drawn")), "{lines:?}");
}

/// The line that the page has for an event, and for the state of its node.
fn line(document: &Document, place: usize, event: &Event) -> String {
    let node = |node: u16| document.nodes[usize::from(node)].as_str();
    let place_in = Delivery::Arrived(place as u32);
    let arriving = document.messages.iter().find(|message| message.delivery == place_in);
    let description = match arriving.filter(|_| event.text.is_empty()) {
        Some(message) => format!("← {} {}", node(message.from), message.text),
        None => event.text.clone(),
    };
    let of = match event.lane {
        Lane::Cluster => "cluster",
        Lane::Node(of) => node(of),
        Lane::Client(of) => document.clients[usize::from(of)].as_str(),
    };
    let state = event.state.as_ref().map_or(String::new(), |state| {
        let State { condition, role, term, leader, base, snapshot, .. } = state;
        let State { applied, committed, durable, last, detail, .. } = state;
        let (condition, role) = (*condition as u8, *role as u8);
        let leader = leader.map_or(-1, i32::from);
        format!(
            "{condition} {role} {term} {leader} {base} {snapshot} {applied} {committed} {durable} \
             {last} {detail}"
        )
    });
    format!("{} {of} {description} | {state}", event.at)
}

#[test]
fn the_page_decodes_the_encoded_document() {
    let document = made::made(3, 900, 3);
    let script = "
        const { run } = page.pane;
        for (let event = 0; event < run.events; event++) {
            const node = run.lane[event] % 2 ? (run.lane[event] - 1) / 2 : -1;
            const state = node < 0 ? null : run.stateAt(node, event);
            const words = state && ['condition', 'role', 'term', 'leader', 'base', 'snapshot',
                'applied', 'committed', 'durable', 'last', 'detail'].map(field => state[field]);
            report(`${run.at[event]} ${run.where(event)} ${run.describe(event)} | `
                + (words ? words.join(' ') : ''));
        }";
    let page = page("run", std::slice::from_ref(&document));
    let Some(lines) = run_script("reads", &page, "", script) else { return };
    let expected = document.events.iter().enumerate().map(|(at, event)| line(&document, at, event));
    for (is, expected) in lines.iter().zip(expected) {
        assert_eq!(*is, expected);
    }
    assert_eq!(lines.len(), document.events.len());
}

#[test]
fn the_page_knows_the_log_of_every_node_at_every_event() {
    let document = made::made(3, 3_000, 11);
    let script = "
        const { run } = page.pane;
        for (let event = 0; event < run.events; event += 37) {
            const logs = run.nodes.map((_, node) => {
                const log = run.logs.at(node, event);
                const text = [...log.entries].map(([index, { term, text }]) =>
                    `${index}@${term} ${text}`);
                return `${log.last}: ${text.join(',')}`;
            });
            report(logs.join(' | '));
        }";
    let page = page("logs", std::slice::from_ref(&document));
    let Some(lines) = run_script("logs", &page, "", script) else { return };
    let mut logs: Vec<Vec<(u64, String)>> = vec![Vec::new(); 3];
    let mut expected = Vec::new();
    for (place, event) in document.events.iter().enumerate() {
        if let (Some(change), Lane::Node(node)) = (&event.log, event.lane) {
            let log = &mut logs[usize::from(node)];
            log.truncate(change.keep as usize);
            log.extend(change.entries.iter().map(|entry| (entry.term, entry.text.clone())));
        }
        if place % 37 == 0 {
            let words = |log: &Vec<(u64, String)>| {
                let entries =
                    (1..).zip(log).map(|(index, (term, text))| format!("{index}@{term} {text}"));
                format!("{}: {}", log.len(), entries.collect::<Vec<_>>().join(","))
            };
            expected.push(logs.iter().map(words).collect::<Vec<_>>().join(" | "));
        }
    }
    assert_eq!(lines, expected);
}

#[test]
fn the_page_opens_at_the_violation_and_keys_move_from_there() {
    let document = made::made(3, 900, 3);
    let wrong = document.violation.as_ref().expect("the run has a violation").event + 1;
    let script = "
        const press = (key, more) => document.body.dispatchEvent(
            new KeyboardEvent('keydown', { key, bubbles: true, ...more }));
        const number = () => document.querySelector('.number').textContent;
        report(number());
        report(document.querySelector('.result b').textContent);
        press('ArrowRight');
        report(number());
        report(location.hash);
        press('Home');
        report(number());
        report(document.querySelector('[role=status]').textContent);
        press('v');
        report(number());
        const slider = document.querySelector('[role=slider]');
        report(slider.getAttribute('aria-valuemax'));
        press('ArrowRight', { shiftKey: true });
        const { run, chosen, list } = page.pane;
        report(run.lane[chosen] === run.lane[run.violation.event] && chosen > run.violation.event);
        list.words = 'campaigns in term';
        list.filter();
        report([...list.listed].every(event => run.describe(event).includes('campaigns in term'))
            && list.listed.length > 0);";
    let page = page("keys", &[document]);
    let Some(lines) = run_script("keys", &page, "", script) else { return };
    let expected = [
        format!("#{wrong}"),
        "S1 election-safety".to_owned(),
        format!("#{}", wrong + 1),
        format!("#e={}", wrong + 1),
        "#1".to_owned(),
        "event 1, 0.000000 s, n1: starts from an empty disk".to_owned(),
        format!("#{wrong}"),
        "901".to_owned(),
        "true".to_owned(),
        "true".to_owned(),
    ];
    assert_eq!(lines[..7], expected[..7]);
    assert_eq!(lines[8..], expected[8..]);
}

#[test]
fn two_runs_are_shown_side_by_side_and_an_address_selects_an_event() {
    let mut shrunk = made::made(3, 200, 5);
    shrunk.name = "shrunk".to_owned();
    let script = "
        const press = key => document.activeElement.dispatchEvent(
            new KeyboardEvent('keydown', { key, bubbles: true }));
        const now = () => report([page.pane.run.name,
            document.querySelector('.pane.now .pane-title b').textContent,
            document.querySelector('[aria-current=true] b').textContent].join());
        report(document.querySelector('.number').textContent);
        report(document.querySelectorAll('.pane.named .pane-title b').length);
        now();
        // The keys act on the focused pane, which keeps the focus.
        press('r');
        now();
        report(page.pane.timeline.box === document.activeElement);
        const before = page.pane.chosen;
        press('ArrowLeft');
        report(before - page.pane.chosen);
        document.querySelector('[aria-current=false] .overview').focus();
        now();
        report(document.activeElement.className);
        document.querySelector('header .choices button').click();
        report(document.querySelectorAll('.pane').length);
        press('r');
        report(document.querySelectorAll('.pane').length);
        report(page.pane.run.name);
        [...document.querySelectorAll('header .choices button')].pop().click();
        report(document.querySelectorAll('.pane').length);";
    let mut original = made::made(3, 900, 3);
    original.name = "original".to_owned();
    let page = page("both", &[original, shrunk]);
    let Some(lines) = run_script("both", &page, "#e=43&d=2", script) else { return };
    let (whole, left) = ("original,original,original", "shrunk,shrunk,shrunk");
    let beside = ["#43", "2", left, whole, "true", "1", left, "overview"];
    assert_eq!(lines[..8], beside);
    assert_eq!(lines[8..], ["1", "1", "shrunk", "2"]);
}

/// Puts markup, quotes and invalid UTF-8 into every text.
#[test]
fn hostile_bytes_stay_text() {
    const HOSTILE: &[u8] = b"</script><script>window.hit = 1</script><img src=x \
        onerror=\"window.hit = 1\">'\"`${window.hit = 1}<!--\xff\xfe\0\n";
    let hostile = printable(HOSTILE);
    let mut document = made::made(2, 60, 3);
    let mut texts: Vec<&mut String> = Vec::new();
    for event in &mut document.events {
        texts.push(&mut event.text);
        texts.extend(event.state.iter_mut().map(|state| &mut state.detail));
        let entries = event.log.iter_mut().flat_map(|change| &mut change.entries);
        texts.extend(entries.map(|entry| &mut entry.text));
    }
    texts.extend(document.messages.iter_mut().map(|message| &mut message.text));
    texts.extend(document.writes.iter_mut().map(|write| &mut write.text));
    texts.extend(document.operations.iter_mut().flat_map(|one| [&mut one.call, &mut one.result]));
    texts.extend(document.faults.iter_mut().map(|fault| &mut fault.text));
    for Table { title, note, columns, rows, .. } in &mut document.tables {
        texts.extend([title, note]);
        texts.extend(columns.iter_mut().chain(rows.iter_mut().flatten()));
    }
    texts.extend([&mut document.title, &mut document.name]);
    texts.extend(document.nodes.iter_mut().chain(&mut document.clients));
    texts.extend(document.facts.iter_mut().flat_map(|fact| [&mut fact.label, &mut fact.value]));
    texts.extend(document.explanation.iter_mut().map(|sentence| &mut sentence.text));
    let violation = document.violation.as_mut().expect("the run has a violation");
    texts.extend([&mut violation.check, &mut violation.finding]);
    texts.into_iter().for_each(|text| text.clone_from(&hostile));
    let page = page(&hostile, &[document]);
    let script = "
        for (let event = 0; event < page.pane.run.events; event++) {
            page.choose(event);
        }
        report(window.hit === undefined && document.querySelectorAll('img').length === 0);
        report(page.pane.run.describe(0));
        report(document.querySelector('h1').textContent);";
    let scripts = page.matches("<script").count();
    assert_eq!(scripts, page.matches("</script").count(), "the page has only its own scripts");
    assert!(!page.contains("<img"), "no text becomes an element");
    let Some(lines) = run_script("hostile", &page, "", script) else { return };
    assert_eq!(lines, ["true", &hostile, &hostile]);
}

#[test]
fn a_run_without_events_has_a_page() {
    let script = "
        report(document.querySelector('h1').textContent);
        report(document.querySelector('.inspector').textContent);";
    let document = Document { title: "nothing".to_owned(), ..Document::default() };
    let Some(lines) = run_script("nothing", &page("nothing", &[document]), "", script) else {
        return;
    };
    assert_eq!(lines, ["nothing", "This run has no events."]);
}

#[test]
fn a_damaged_page_reports_the_damage() {
    let page = page("damaged", &[made::made(2, 60, 3)]);
    let start = page.find("class=\"document\">").expect("the page has a document") + 30;
    let mut cut = page.clone();
    cut.replace_range(start..start + 400, "");
    let script = "report(document.querySelector('[role=alert]').textContent.slice(0, 25));";
    let Some(lines) = run_script("damaged", &cut, "", script) else { return };
    assert_eq!(lines, ["This page cannot be shown"]);
}
