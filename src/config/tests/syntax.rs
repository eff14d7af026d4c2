//! Texts that are not TOML: what they are instead, and what to do.

use super::mistakes::assert_mistakes;

#[test]
fn text_that_is_not_toml_is_told_with_its_line() {
    assert_mistakes(&[
        ("[global]\nscrape_interval = 15s", "n.toml:2: is not TOML: a text needs quotes; write it as \"...\""),
        ("[global", "n.toml:1: is not TOML: unclosed table, expected `]`"),
        ("[global]\n\n[global]", "n.toml:3: is not TOML: duplicate key"),
        (
            "# Mine.\n\nglobal:\n  scrape_interval: 15s",
            "n.toml:3: is YAML, and Narthex reads TOML; run: narthex import n.toml > narthex.toml",
        ),
        ("- job_name: a", "n.toml:1: is YAML, and Narthex reads TOML; run: narthex import n.toml > narthex.toml"),
        (
            "[[scrape_configs]]\njob_name = node # its job",
            "n.toml:2: is not TOML: a text needs quotes; write it as \"...\"",
        ),
        ("x = [\n  localhost:9100,\n]", "n.toml:2: is not TOML: a text needs quotes; write it as \"...\""),
        ("x = [a:1]", "n.toml:1: is not TOML: a text needs quotes; write it as \"...\""),
        ("global", "n.toml:1: is not TOML: key with no value, expected `=`"),
    ]);
}
