//! Tests of Jepsen's EDN and log notations.

use quorate_checker::formats::{Object, Options};
use quorate_checker::history::EventIndex;

use super::shown::{error, linearizable, named, read, shown};

#[test]
fn maps_come_in_sequence_or_in_a_vector() {
    let maps = "{:index 0, :time 1, :type :invoke, :process 3, :f :write, :value 5}\n\
                {:type :info, :process :nemesis, :f :start, :value nil}\n\
                {:type :invoke :process 4 :f :read :value nil} ; a comment\n\
                {:type :ok, :process 4, :f :read, :value nil, :latency 1.5}\n\
                {:type :ok, :process 3, :f :write, :value 5}\n\
                #jepsen.history.Op{:type :invoke, :process 3, :f :cas, :value [5 6]}\n\
                {:type :invoke, :process 4, :f :cas, :value [5 7]}\n\
                {:type :fail, :process 3, :f :cas, :value [5 6], :error :mismatch}\n\
                {:type :info, :process 4, :f :cas, :value :timed-out}\n\
                {:type :invoke, :process 3, :f :read}\n\
                {:type :ok, :process 3, :f :read, :value 7}\n";
    let expected = [
        "init null",
        "3 0: write 5: \u{20}at 3",
        "4 1: read: null at 2",
        "3 4: cas 5 -> 6: failed",
        "4 5: cas 5 -> 7: unknown",
        "3 6: read: 7 at 7",
    ];
    let loaded = read(maps, &named("cas-register"));
    assert_eq!(shown(&loaded.history), expected);
    assert_eq!(loaded.line(EventIndex(1)), Some(3));
    assert_eq!(loaded.line(EventIndex(7)), Some(11));
    let vector = format!(" [{}]\n", maps.replace('\n', " \n "));
    assert_eq!(shown(&read(&vector, &named("cas-register")).history), expected);
    let shows = Options { failed_cas_is_read: true, ..named("cas-register") };
    let failed = &shown(&read(maps, &shows).history)[3];
    assert_eq!(failed, "3 4: cas 5 -> 6: false at 6");
    assert!(error(maps, &Options::default()).message.contains("name the model"));
}

#[test]
fn independent_keys_are_detected() {
    let plain = "{:type :invoke, :process 0, :f :write, :value [1 5]}
                 {:type :ok, :process 0, :f :write, :value [1 5]}
                 {:type :invoke, :process 0, :f :cas, :value [\"b\" [1 2]]}
                 {:type :fail, :process 0, :f :cas, :value nil}
                 {:type :invoke, :process 0, :f :read, :value [2 nil]}
                 {:type :ok, :process 0, :f :read, :value [2 nil]}";
    let expected = [
        "init ",
        "0 0: put 1 5: \u{20}at 1",
        "0 2: cas \"b\" 1 -> 2: failed",
        "0 3: get 2: null at 4",
    ];
    assert_eq!(shown(&read(plain, &named("cas-register")).history), expected);
    let tagged = plain.replace("[1 5]", "#jepsen.independent.Tuple[1 5]");
    assert_eq!(shown(&read(&tagged, &named("cas-register")).history), expected);
    // A read of the whole set shows that the pairs are values.
    let pairs = "{:type :invoke, :process 0, :f :add, :value [1 5]}
                 {:type :ok, :process 0, :f :add, :value [1 5]}
                 {:type :invoke, :process 0, :f :read, :value nil}
                 {:type :ok, :process 0, :f :read, :value #{[1 5]}}";
    let loaded = read(pairs, &named("set"));
    assert_eq!(shown(&loaded.history)[2], "0 2: read: [[1, 5]] at 3");
    let sets = pairs.replace(":f :read, :value nil", ":f :read, :value [1 nil]");
    let sets = sets.replace("#{[1 5]}", "[1 #{5}]");
    let loaded = read(&sets, &named("set"));
    assert_eq!(shown(&loaded.history)[2], "0 2: 1: read: [5] at 3");
    assert!(linearizable(&loaded));
    let mixed = plain.replace("[2 nil]}", "2}").replace(":value [1 5]", ":value #a.Tuple[1 5]");
    assert!(error(&mixed, &named("cas-register")).message.contains("a key and a value"));
}

#[test]
fn a_set_of_booleans_does_not_take_its_arguments_for_results() {
    let text = "{:type :invoke, :process 0, :f :add, :value false}
                {:type :ok, :process 0, :f :add, :value false}
                {:type :invoke, :process 0, :f :read, :value nil}
                {:type :ok, :process 0, :f :read, :value #{false}}";
    assert!(linearizable(&read(text, &named("set"))));
    let number = text.replacen("false", "1", 1).replace("#{false}", "#{1}");
    assert!(!linearizable(&read(&number, &named("set"))), "1 was not in the set");
}

#[test]
fn transactions_of_one_step_are_of_independent_keys() {
    let appends = "{:type :invoke, :process 0, :f :txn, :value [[:append 3 1]]}
                   {:type :ok, :process 0, :f :txn, :value [[:append 3 1]]}
                   {:type :invoke, :process 0, :f :txn, :value [[:r 3 nil]]}
                   {:type :ok, :process 0, :f :txn, :value [[:r 3 [1]]]}
                   {:type :invoke, :process 0, :f :txn, :value [[:r 4 nil]]}
                   {:type :ok, :process 0, :f :txn, :value [[:r 4 nil]]}";
    let expected =
        ["init ", "0 0: append 3 1: \u{20}at 1", "0 2: read 3: [1] at 3", "0 4: read 4: [] at 5"];
    let loaded = read(appends, &named("list-append"));
    assert_eq!(shown(&loaded.history), expected);
    assert!(linearizable(&loaded));
    assert!(!linearizable(&read(&appends.replace("[1]", "[]"), &named("list"))));
    let two = appends.replace("[[:r 4 nil]]", "[[:r 4 nil] [:r 3 nil]]");
    assert!(error(&two, &named("list")).message.contains("use `multi-register`"));

    let writes = appends.replace(":append", ":w").replace("[1]", "1");
    let loaded = read(&writes, &named("rw-register"));
    assert_eq!(shown(&loaded.history)[1], "0 0: put 3 1: \u{20}at 1");
    assert_eq!(loaded.object, Object::RwRegister);
    assert!(linearizable(&loaded));
    assert!(!linearizable(&read(&writes.replace("[:r 3 1]", "[:r 3 nil]"), &named("rw-register"))));
    let two = writes.replace("[[:r 4 nil]]", "[[:r 4 nil] [:r 3 nil]]");
    let two = two.replace(
        ":ok, :process 0, :f :txn, :value [[:r 4 nil] [:r 3 nil]]",
        ":ok, :process 0, :f :txn, :value [[:r 4 nil] [:r 3 1]]",
    );
    assert!(linearizable(&read(&two, &named("rw-register"))));
    let stale = two.replace("[:r 4 nil] [:r 3 1]", "[:r 4 nil] [:r 3 nil]");
    assert!(
        !linearizable(&read(&stale, &named("rw-register"))),
        "a read of nil says that the key was missing"
    );
    assert!(linearizable(&read(&stale, &named("multi-register"))), "nothing is known of a read");
    assert!(linearizable(&read(
        &two,
        &Options { init: Some("null".to_owned()), ..named("rw-register") }
    )));
    let erased = "{:process 0, :type :invoke, :f :txn, :value [[:w 1 nil] [:r 1 nil]]}";
    let failed = error(erased, &named("rw-register"));
    assert!(failed.message.contains("a value other than the initial value"), "{failed}");
}

#[test]
fn a_key_field_implies_a_map_of_texts() {
    let text = "{:process 0, :type :invoke, :f :get, :key \"7\", :value nil}
                {:process 0, :type :ok, :f :get, :key \"7\", :value \"\"}
                {:process 0, :type :invoke, :f :append, :key \"7\", :value \"x 0 0 y\"}
                {:process 0, :type :ok, :f :append, :key \"7\", :value \"x 0 0 y\"}";
    let loaded = read(text, &Options::default());
    assert_eq!(loaded.object, Object::Kv);
    assert!(linearizable(&loaded));
    assert!(!linearizable(&read(&text.replace("\"\"}", "\"x\"}"), &Options::default())));
    let other = text.replace(":ok, :f :get, :key \"7\"", ":ok, :f :get, :key \"8\"");
    assert!(error(&other, &Options::default()).message.contains("the key of the invocation"));
}

#[test]
fn banks_and_queues_are_read_in_jepsens_notation() {
    let bank = "{:type :invoke, :process 0, :f :transfer, :value {:from 0, :to 1, :amount 3}}
                {:type :ok, :process 0, :f :transfer, :value {:from 0, :to 1, :amount 3}}
                {:type :invoke, :process 0, :f :transfer, :value {:from 0, :to 1, :amount 99}}
                {:type :fail, :process 0, :f :transfer, :value {:from 0, :to 1, :amount 99}}
                {:type :invoke, :process 0, :f :read}
                {:type :ok, :process 0, :f :read, :value {0 7, 1 3}}";
    let options = Options { init: Some("{\"0\":10,\"1\":0}".to_owned()), ..named("bank") };
    assert!(linearizable(&read(bank, &options)));
    assert!(!linearizable(&read(&bank.replace("1 3}", "1 4}"), &options)));
    let queue = "{:type :invoke, :process 0, :f :enqueue, :value 1}
                 {:type :ok, :process 0, :f :enqueue, :value 1}
                 {:type :invoke, :process 0, :f :dequeue, :value nil}
                 {:type :ok, :process 0, :f :dequeue, :value 1}";
    assert!(linearizable(&read(queue, &named("queue"))));
}

#[test]
fn a_log_contains_operations_among_other_lines() {
    let log = "INFO  jepsen.core - ready\n\
               INFO  jepsen.util - 0\t:invoke\t:read\tnil\n\
               INFO  jepsen.util - :nemesis :info :start nil\n\
               INFO  jepsen.util - 0   :ok     :read   nil\n\
               INFO  jepsen.util - 1\t:invoke\t:cas\t[1 2]\n\
               INFO  jepsen.util - 0\t:invoke\t:write\t3\n\
               INFO  jepsen.util - 1\t:fail\t:cas\t[1 2]\n\
               INFO  jepsen.util - 0\t:info\t:write\t:timed-out\n";
    let expected =
        ["init null", "0 0: read: null at 1", "1 2: cas 1 -> 2: failed", "0 3: write 3: unknown"];
    let loaded = read(log, &Options::default());
    assert_eq!(shown(&loaded.history), expected);
    assert_eq!(loaded.line(EventIndex(3)), Some(6));
    let shows = Options { failed_cas_is_read: true, ..Options::default() };
    assert_eq!(shown(&read(log, &shows).history)[2], "1 2: cas 1 -> 2: false at 4");
    assert!(error("a b\nc", &Options::default()).message.contains("no operation"));
}

#[test]
fn errors_have_their_position() {
    let invoke = "{:type :invoke, :process 0, :f :write, :value 1}\n";
    let cases = [
        ("[{:type :invoke\n", (2, 1), "expected `}`, found the end"),
        ("{:type :invoke}", (1, 1), "this operation has no :process"),
        ("{:process 0}", (1, 1), "this operation has no :type"),
        ("{:process 0, :type :go, :f :x}", (1, 20), "expected :invoke, :ok, :fail or :info"),
        ("{:process -1, :type :ok, :f :x}", (1, 11), "found -1"),
        ("{:process 0, :type :ok, :f :write}", (1, 1), "has no pending operation"),
        ("[{:process 0, :process 1}]", (1, 15), "twice"),
        ("[1]", (1, 2), "expected an operation: a map"),
        ("[] 1", (1, 4), "expected the end"),
        ("{:a 1}}", (1, 1), "no :process"),
        ("{:process 0, :type :invoke, :f :pop}", (1, 1), "found `pop`"),
        ("{:process 0, :type :invoke, :f :read, :value 5}", (1, 46), "expected no value"),
        ("{:process 0, :type :invoke, :f :write, :value 1/2}", (1, 47), "found 1/2"),
        ("INFO jepsen.util - 0 :invoke", (1, 29), "expected a process, a type"),
        ("INFO jepsen.util - 0 :start :read nil", (1, 22), "found :start"),
    ];
    for (text, place, message) in cases {
        let error = error(text, &named("register"));
        assert_eq!((error.line, error.column), place, "{error}\n{text}");
        assert!(error.message.contains(message), "{error}\n{message}");
    }
    let busy = error(&invoke.repeat(2), &named("register"));
    assert_eq!(
        (busy.line, busy.message.as_str()),
        (2, "process 0 already has a pending operation, 0")
    );
    let small = Options { line_bytes_max: 20, ..named("register") };
    let long = error(&format!("{{:process :nemesis}}\n{invoke}"), &small);
    assert_eq!((long.line, long.message.as_str()), (2, "this value is longer than 20 bytes"));
}
