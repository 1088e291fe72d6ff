//! Go templates over JSON values, as `--format` takes them: the part of text/template that scripts use, with
//! docker's own functions, and Go's wording and positions of errors.

mod eval;
mod functions;
mod parse;
mod printf;

use std::fmt;

use serde_json::Value;

/// A parsed template.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    nodes: Vec<parse::Node>,
}

/// What a field that is not there means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing<'a> {
    /// A failure: "map has no entry for key".
    NoEntry,
    /// A failure that names the type of the data: "can't evaluate field X in type T".
    Refused(&'a str),
    /// As that, and a field that is an object is a method with an argument: docker's rows of a listing.
    Row(&'a str),
    /// `<no value>`.
    NoValue,
}

/// Why a template cannot be read or carried out, as Go says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TemplateError(String);

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Template {
    /// Parses a template.
    pub(crate) fn parse(text: &str) -> Result<Self, TemplateError> {
        Ok(Self { nodes: parse::parse(text)? })
    }

    /// Renders the template with `data` as its dot.
    pub(crate) fn render(&self, data: &Value, missing: Missing<'_>) -> Result<String, TemplateError> {
        eval::render(&self.nodes, data, missing, false)
    }

    /// Looks for fields that are not there, without a row to show: `titles` has those that are.
    pub(crate) fn check(&self, titles: &Value, missing: Missing<'_>) -> Result<String, TemplateError> {
        eval::render(&self.nodes, titles, missing, true)
    }

    /// Renders a table's header: fields are titles, and functions pass them on.
    pub(crate) fn render_header(&self, titles: &Value) -> Result<String, TemplateError> {
        eval::render(&self.nodes, titles, Missing::NoValue, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(template: &str) -> Result<String, String> {
        let data = serde_json::json!({
            "Id": "abc", "Size": 12, "Ok": true, "Nothing": null, "Empty": [],
            "State": {"Status": "running", "Pid": 7},
            "Labels": {"a.b": "1", "c": "2"},
            "Args": ["x", "y z"],
            "Mounts": [{"Name": "m", "RW": true}, {"Name": "n", "RW": false}],
        });
        let template = Template::parse(template).map_err(|error| error.to_string())?;
        template.render(&data, Missing::NoEntry).map_err(|error| error.to_string())
    }

    #[test]
    fn renders() {
        let cases = [
            ("plain", "plain"),
            ("{{.Id}}:{{.Size}}", "abc:12"),
            ("{{ .State.Status }}", "running"),
            ("{{json .State}}", r#"{"Pid":7,"Status":"running"}"#),
            ("{{.State | json}}", r#"{"Pid":7,"Status":"running"}"#),
            ("{{json .}}x", ""),
            (r#"{{index .Labels "a.b"}}"#, "1"),
            (r#"{{index .Labels "no"}}"#, ""),
            ("{{index .Args 1}}", "y z"),
            ("{{(index .Mounts 1).Name}}", "n"),
            ("{{len .Args}}{{len .Id}}{{len .Nothing}}", "230"),
            ("{{range .Mounts}}{{.Name}},{{end}}", "m,n,"),
            ("{{range $k, $v := .Labels}}{{$k}}={{$v}};{{end}}", "a.b=1;c=2;"),
            ("{{range $i, $e := .Args}}{{$i}}{{$e}}{{end}}", "0x1y z"),
            ("{{range .Empty}}x{{else}}none{{end}}", "none"),
            ("{{if .Ok}}yes{{else}}no{{end}}", "yes"),
            ("{{if .Empty}}a{{else if .Nothing}}b{{else}}c{{end}}", "c"),
            ("{{with .State}}{{.Pid}}{{$.Id}}{{end}}", "7abc"),
            ("{{$x := .Id}}{{$x}}{{$x}}", "abcabc"),
            (r#"{{join .Args ","}}{{upper .Id}}{{title "word"}}"#, "x,y zABCWord"),
            (r#"{{range split "a:b" ":"}}[{{.}}]{{end}}"#, "[a][b]"),
            (r#"{{printf "%s-%d-%v-%q" .Id .Size .Args "q"}}"#, r#"abc-12-[x y z]-"q""#),
            (r#"{{eq .Id "abc"}} {{ne .Size 12}} {{and .Ok .Id}} {{or .Nothing "d"}}"#, "true false abc d"),
            (r#"{{if and (eq .Size 12) (not .Empty)}}both{{end}}"#, "both"),
            ("{{.Args}} {{.Labels}}", "[x y z] map[a.b:1 c:2]"),
            ("{{println .Id}}", "abc\n"),
            ("{{truncate .Id 2}}|{{pad .Id 1 2}}|", "ab| abc  |"),
            ("a {{- .Id -}} b", "aabcb"),
            ("{{/* nothing */}}{{.ID}}", "abc"),
            ("{{.Nothing}}", "<no value>"),
            ("{{`raw\\t`}}{{\"\\t\"}}{{slice .Id 1}}", "raw\\t\tbc"),
            ("{{title \"/web a_b\"}} {{index .Id 0}} {{'c'}} {{0x10}}", "/Web A_b 97 99 16"),
            (
                "{{with $x := .State}}{{$x.Pid}}{{.Status}}{{end}}{{if $y := .Ok}}{{$y}}{{end}}",
                "7runningtrue",
            ),
            ("{{.Id|}}{{print 1 2 \"a\" \"b\" 3}}", "abc1 2ab3"),
            ("{{html \"<a>\"}} {{js \"a'b\"}} {{urlquery \"a b/\"}}", "&lt;a&gt; a\\'b a+b%2F"),
        ];
        for (template, expected) in cases {
            let got = render(template).unwrap_or_else(|error| panic!("{template}: {error}"));
            if expected.is_empty() && template.starts_with("{{json .}}") {
                assert!(got.starts_with('{') && got.ends_with("}x"), "{got}");
            } else {
                assert_eq!(got, expected, "{template}");
            }
        }
    }

    #[test]
    fn fails_in_gos_words() {
        let cases = [
            ("{{.Foo}}", r#"template: :1:2: executing "" at <.Foo>: map has no entry for key "Foo""#),
            (
                "{{.State.Foo}}",
                r#"template: :1:8: executing "" at <.State.Foo>: map has no entry for key "Foo""#,
            ),
            (
                "{{.Id.Foo}}",
                r#"template: :1:5: executing "" at <.Id.Foo>: can't evaluate field Foo in type interface {}"#,
            ),
            ("x\n{{foo .Id}}", r#"template: :2: function "foo" not defined"#),
            ("{{.Id", "template: :1: unclosed action"),
            ("{{if .Id}}", "template: :1: unexpected EOF"),
            ("{{end}}", "template: :1: unexpected {{end}}"),
            ("{{else}}", "template: :1: unexpected {{else}}"),
            ("{{$x}}", r#"template: :1: undefined variable "$x""#),
            ("{{}}", "template: :1: missing value for command"),
            ("{{.Id}", "template: :1: bad character U+007D '}'"),
            ("{{if}}x{{end}}", "template: :1: missing value for if"),
            ("{{|upper}}", "template: :1: unexpected \"|\" in command"),
            ("{{nil}}", r#"template: :1:2: executing "" at <nil>: nil is not a command"#),
            (
                "{{join .Args}}",
                r#"template: :1:2: executing "" at <join>: wrong number of args for join: want 2 got 1"#,
            ),
            (
                "{{or}}",
                r#"template: :1:2: executing "" at <or>: wrong number of args for or: want at least 1 got 0"#,
            ),
            ("{{upper 1}}", r#"template: :1:8: executing "" at <1>: expected string; found 1"#),
            (
                "{{join .Id \"+\"}}",
                r#"template: :1:7: executing "" at <.Id>: wrong type for value; expected []string; got string"#,
            ),
            (
                "{{eq .Id 1}}",
                r#"template: :1:2: executing "" at <eq .Id 1>: error calling eq: incompatible types for comparison"#,
            ),
            (
                "{{truncate .Id -1}}",
                r#"template: :1:2: executing "" at <truncate .Id -1>: error calling truncate: runtime error: slice bounds out of range [:-1]"#,
            ),
            (
                "{{.Id \"x\"}}",
                r#"template: :1:2: executing "" at <.Id>: Id is not a method but has arguments"#,
            ),
            ("{{\"abc}}", "template: :1: unterminated quoted string"),
            (
                "{{range .Id}}{{end}}",
                r#"template: :1:8: executing "" at <.Id>: range can't iterate over abc"#,
            ),
            (
                "{{index .Args 5}}",
                r#"template: :1:2: executing "" at <index .Args 5>: error calling index: index out of range: 5"#,
            ),
        ];
        for (template, expected) in cases {
            assert_eq!(render(template), Err(expected.to_owned()), "{template}");
        }
        let row = serde_json::json!({"Name": "a", "Label": {"x": "1"}});
        for (template, expected) in [
            ("{{.Label \"x\"}}{{json .}}", Ok(r#"1{"Name":"a"}"#)),
            ("{{.Label}}", Err("<.Label>: wrong number of args for Label: want 1 got 0")),
            ("{{.Name \"x\"}}", Err("<.Name>: wrong number of args for Name: want 0 got 1")),
            ("{{.Name.Foo}}", Err("<.Name.Foo>: can't evaluate field Foo in type string")),
        ] {
            let rendered = Template::parse(template).unwrap().render(&row, Missing::Row("*formatter.x"));
            match (rendered, expected) {
                (Ok(text), Ok(expected)) => assert_eq!(text, expected),
                (Err(error), Err(expected)) => assert!(error.to_string().ends_with(expected), "{error}"),
                (rendered, _) => panic!("{template}: {rendered:?}"),
            }
        }
        let template = Template::parse("{{.Nope}}").unwrap();
        let error =
            template.render(&Value::Object(Default::default()), Missing::Refused("*formatter.imageContext"));
        assert_eq!(
            error.unwrap_err().to_string(),
            r#"template: :1:2: executing "" at <.Nope>: can't evaluate field Nope in type *formatter.imageContext"#
        );
    }
}
