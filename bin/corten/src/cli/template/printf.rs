//! `printf` as Go's fmt.Sprintf has it, for the values that templates know.

use serde_json::Value;

use super::functions::{kind, text};

/// What stands between `%` and the verb.
#[derive(Debug, Default)]
struct Directive {
    left: bool,
    plus: bool,
    zero: bool,
    alternate: bool,
    width: usize,
    precision: Option<usize>,
}

/// No directive is made wider than this.
const WIDEST: usize = 4096;

pub(super) fn printf(format: &str, values: &[Value]) -> String {
    let mut out = String::new();
    let mut rest = values.iter();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut directive = Directive::default();
        while let Some(flag) = chars.next_if(|c| "-+# 0".contains(*c)) {
            match flag {
                '-' => directive.left = true,
                '+' => directive.plus = true,
                '#' => directive.alternate = true,
                '0' => directive.zero = true,
                _ => {}
            }
        }
        let mut number = || {
            let mut read = None;
            while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
                read = Some((read.unwrap_or(0) * 10 + digit as usize).min(WIDEST));
                chars.next();
            }
            read
        };
        directive.width = number().unwrap_or(0);
        if chars.next_if_eq(&'.').is_some() {
            let mut precision = 0;
            while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
                precision = (precision * 10 + digit as usize).min(WIDEST);
                chars.next();
            }
            directive.precision = Some(precision);
        }
        out.push_str(&match (chars.next(), rest.as_slice().first()) {
            (None, _) => "%!(NOVERB)".to_owned(),
            (Some('%'), _) => "%".to_owned(),
            (Some(verb), None) => format!("%!{verb}(MISSING)"),
            (Some(verb), Some(value)) => {
                rest.next();
                directive.show(verb, value)
            }
        });
    }
    let extra: Vec<String> = rest.map(|value| format!("{}={}", kind(value), text(value))).collect();
    if !extra.is_empty() {
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    out
}

impl Directive {
    fn show(&self, verb: char, value: &Value) -> String {
        let wrong = || format!("%!{verb}({}={})", kind(value), text(value));
        let shown = match (verb, value) {
            ('v', _) => self.cut(text(value), value),
            ('s', Value::Number(_) | Value::Bool(_)) => return wrong(),
            ('s', _) => self.cut(text(value), value),
            ('t', Value::Bool(_)) => text(value),
            ('q', Value::String(text)) => format!("{text:?}"),
            ('x', Value::String(text)) => text.bytes().map(|byte| format!("{byte:02x}")).collect(),
            ('X', Value::String(text)) => text.bytes().map(|byte| format!("{byte:02X}")).collect(),
            (_, Value::Number(number)) => match (number.as_i64(), number.as_f64()) {
                (Some(number), _) => match self.integer(verb, number) {
                    Some(shown) => shown,
                    None => return wrong(),
                },
                (None, Some(number)) => match self.float(verb, number) {
                    Some(shown) => shown,
                    None => return wrong(),
                },
                _ => return wrong(),
            },
            _ => return wrong(),
        };
        self.fill(shown, value.is_number())
    }

    fn cut(&self, text: String, value: &Value) -> String {
        match self.precision {
            Some(precision) if value.is_string() => text.chars().take(precision).collect(),
            _ => text,
        }
    }

    fn integer(&self, verb: char, number: i64) -> Option<String> {
        let sign = match number {
            n if n < 0 => "-",
            _ if self.plus => "+",
            _ => "",
        };
        let size = number.unsigned_abs();
        let (prefix, digits) = match verb {
            'd' => ("", size.to_string()),
            'x' => ("0x", format!("{size:x}")),
            'X' => ("0X", format!("{size:X}")),
            'o' => ("0", format!("{size:o}")),
            'b' => ("0b", format!("{size:b}")),
            'c' => return u32::try_from(number).ok().and_then(char::from_u32).map(|c| c.to_string()),
            _ => return None,
        };
        Some(format!("{sign}{}{digits}", if self.alternate { prefix } else { "" }))
    }

    fn float(&self, verb: char, number: f64) -> Option<String> {
        let sign = if self.plus && number >= 0.0 { "+" } else { "" };
        let shown = match (verb, self.precision) {
            ('f' | 'F', precision) => format!("{number:.0$}", precision.unwrap_or(6)),
            ('g', None) => number.to_string(),
            ('g', Some(_)) | ('e', _) => return None,
            _ => return None,
        };
        Some(format!("{sign}{shown}"))
    }

    fn fill(&self, shown: String, is_number: bool) -> String {
        let missing = self.width.saturating_sub(shown.chars().count());
        match (self.left, self.zero) {
            (true, _) => shown + &" ".repeat(missing),
            (false, true) if is_number && shown.starts_with(['-', '+']) => {
                let (sign, digits) = shown.split_at(1);
                format!("{sign}{}{digits}", "0".repeat(missing))
            }
            (false, true) => "0".repeat(missing) + &shown,
            (false, false) => " ".repeat(missing) + &shown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn as_gos() {
        let check = |format: &str, values: Value, expected: &str| {
            let values = values.as_array().cloned().unwrap_or_default();
            assert_eq!(printf(format, &values), expected, "{format}");
        };
        check("%-6s|%5d|%q", json!(["web", 3, "x"]), "web   |    3|\"x\"");
        check("%d", json!(["web"]), "%!d(string=web)");
        check("%s", json!([3]), "%!s(int=3)");
        check("%x %X", json!(["web1", 255]), "77656231 FF");
        check("%05d %+d %#x %c", json!([7, 7, 255, 65]), "00007 +7 0xff A");
        check("%05d", json!([-7]), "-0007");
        check("%.2f|%8.1f", json!([1.5, 2.25]), "1.50|     2.2");
        check("%v %+v %.2s", json!(["a", 1, "abc"]), "a 1 ab");
        check("%s", json!([]), "%!s(MISSING)");
        check("%s", json!(["a", "b", 1]), "a%!(EXTRA string=b, int=1)");
        check("100%% %", json!([]), "100% %!(NOVERB)");
    }
}
