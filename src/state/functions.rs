//! Functions.xml: the functions there are, and what invokes them. Written by `cumulet function` and
//! by a person's editor; the functions' service only reads it.

mod triggers;

use std::collections::HashSet;
use std::time::Duration;

use crate::domain::function::{Code, Function};
use crate::domain::trigger::Trigger;
use crate::state::document::{self, Document};
use crate::state::xml::{Element, Fields, Foreign, Problem, milliseconds};

/// Functions.xml.
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionsFile {
    /// Grows by one with each write.
    pub seq: u64,
    /// The functions, each with what a person wrote into its element besides.
    pub functions: Vec<(Function, Foreign)>,
    /// What invokes them, likewise.
    pub triggers: Vec<(Trigger, Foreign)>,
    /// What a newer writer or a person put at the root, kept.
    pub foreign: Foreign,
}

impl Default for FunctionsFile {
    /// The three workloads: where there is no file, there are these.
    fn default() -> Self {
        let functions = Function::built_in().into_iter();
        let functions = functions.map(|function| (function, Foreign::default())).collect();
        Self { seq: 0, functions, triggers: Vec::new(), foreign: Foreign::default() }
    }
}

impl FunctionsFile {
    /// The function of this name.
    pub fn function(&self, name: &str) -> Option<&Function> {
        self.functions.iter().map(|(function, _)| function).find(|it| it.name.as_str() == name)
    }
}

impl Document for FunctionsFile {
    const FILE: &'static str = "Functions.xml";
    const ROOT: &'static str = "Functions";

    fn seq(&self) -> u64 {
        self.seq
    }

    fn set_seq(&mut self, seq: u64) {
        self.seq = seq;
    }

    fn from_element(root: &Element) -> Result<Self, Problem> {
        let mut fields = Fields::of(root);
        let seq = document::seq(&mut fields)?;
        let (mut functions, mut names) = (Vec::new(), HashSet::new());
        let mut triggers = Vec::new();
        let foreign = fields.foreign(|child| {
            if child.name == "Trigger" {
                triggers.push(triggers::read(child, &triggers)?);
                return Ok(true);
            }
            if child.name != "Function" {
                return Ok(false);
            }
            let (function, foreign) = read(child)?;
            if !names.insert(function.name.clone()) {
                let message = format!("there are two functions with the name `{}`", function.name);
                return Err(Problem::new(child.at, message));
            }
            functions.push((function, foreign));
            Ok(true)
        })?;
        Ok(Self { seq, functions, triggers, foreign })
    }

    fn to_element(&self) -> Element {
        let mut root = document::root(self);
        for (function, foreign) in &self.functions {
            root.push(write(function).with_foreign(foreign));
        }
        for (trigger, foreign) in &self.triggers {
            root.push(triggers::write(trigger).with_foreign(foreign));
        }
        root.with_foreign(&self.foreign)
    }
}

fn read(element: &Element) -> Result<(Function, Foreign), Problem> {
    let mut fields = Fields::of(element);
    let name = fields.word("name")?;
    let name = fields.required("name", name)?;
    let (built_in, program) = (fields.word("builtIn")?, fields.text("program"));
    let reused = fields.truth("reused")?.unwrap_or(false);
    let memory_mib = fields.whole("memoryMiB")?;
    let (timeout, concurrency) = (fields.seconds("timeout")?, fields.whole("concurrency")?);
    let keep_warm: Option<Duration> = fields.seconds("keepWarm")?;
    let mut arguments = Vec::new();
    let foreign = fields.foreign(|child| {
        if child.name != "Argument" {
            return Ok(false);
        }
        let mut fields = Fields::of(child);
        let value = fields.text("value");
        arguments.push(fields.required("value", value)?);
        Ok(true)
    })?;
    let code = match (built_in, program) {
        (Some(kind), None) => Code::BuiltIn(kind),
        (None, Some(program)) => {
            let words = std::iter::once(program).chain(arguments).collect();
            Code::Program { words, reused }
        }
        _ => {
            let message = "<Function> needs one of the attributes `builtIn` and `program`";
            return Err(Problem::new(element.at, message));
        }
    };
    let usual = Function::new(name, code);
    let function = Function {
        memory_mib: memory_mib.unwrap_or(usual.memory_mib),
        timeout: timeout.unwrap_or(usual.timeout),
        concurrency: concurrency.unwrap_or(usual.concurrency),
        keep_warm: keep_warm.unwrap_or(usual.keep_warm),
        ..usual
    };
    function.check().map_err(|error| Problem::new(element.at, error.to_string()))?;
    Ok((function, foreign))
}

fn write(function: &Function) -> Element {
    let element = Element::new("Function").with("name", &function.name);
    let (mut element, arguments) = match &function.code {
        Code::BuiltIn(kind) => (element.with("builtIn", kind.as_str()), &[][..]),
        Code::Program { words, reused } => {
            let (program, arguments) =
                words.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
            (element.with("program", program).with("reused", reused), arguments)
        }
    };
    element = element
        .with("memoryMiB", function.memory_mib)
        .with("timeout", milliseconds(function.timeout))
        .with("concurrency", function.concurrency)
        .with("keepWarm", milliseconds(function.keep_warm));
    for argument in arguments {
        element.push(Element::new("Argument").with("value", argument));
    }
    element
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::cost::Kind;
    use crate::domain::function::FunctionName;
    use crate::domain::trigger::{Files, Schedule, Source};

    #[test]
    fn what_is_written_is_read() {
        let mut file = FunctionsFile::default();
        let words = ["python3", "hello \"world\".py", ""].map(str::to_owned).to_vec();
        let hello = Function {
            memory_mib: 128,
            timeout: Duration::from_millis(1_500),
            ..Function::new("hello".parse().unwrap(), Code::Program { words, reused: true })
        };
        file.functions.push((hello, Foreign::default()));
        let hello: FunctionName = "hello".parse().unwrap();
        let files = Files {
            folder: "in box".into(),
            output: Some("/out".into()),
            settle: Duration::from_millis(1_500),
        };
        let zone = jiff::tz::TimeZone::get("Europe/Lisbon").unwrap();
        let schedule = Schedule::new("*/5 * * * *", zone).unwrap();
        for (name, source) in [("a", Source::Files(files)), ("b", Source::Schedule(schedule))] {
            let usual = Trigger::new(name.parse().unwrap(), hello.clone(), source);
            let trigger = Trigger { attempts: 7, pause: Duration::from_millis(250), ..usual };
            file.triggers.push((trigger, Foreign::default()));
        }
        assert_eq!(FunctionsFile::parse(file.render().as_bytes()), Ok(file));
    }

    #[test]
    fn a_hand_writes_little_and_what_it_adds_is_kept() {
        let text = "<Functions version=\"1\"><!-- mine --><Function name=\"b\" builtIn=\"blur\" \
                    colour=\"red\"/></Functions>";
        let file = FunctionsFile::parse(text.as_bytes()).unwrap();
        assert_eq!(
            file.function("b"),
            Some(&Function::new("b".parse().unwrap(), Code::BuiltIn(Kind::Blur)))
        );
        let again = file.render();
        assert!(again.contains("mine") && again.contains("colour=\"red\""), "{again}");
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_place() {
        for (inside, sentence) in [
            ("<Function name=\"b\"/>", "needs one of the attributes"),
            ("<Function name=\"b\" builtIn=\"blur\" program=\"x\"/>", "needs one of"),
            ("<Function name=\"B\" builtIn=\"blur\"/>", "cannot name a function"),
            ("<Function name=\"b\" builtIn=\"knit\"/>", "knit"),
            ("<Function name=\"b\" builtIn=\"blur\" memoryMiB=\"64\"/>", "64 MiB"),
            ("<Function name=\"b\" builtIn=\"blur\" timeout=\"901\"/>", "time limit"),
            ("<Function name=\"b\" program=\"x\"><Argument/></Function>", "`value`"),
            (
                "<Function name=\"b\" program=\"x\"/><Function name=\"b\" program=\"x\"/>",
                "two functions",
            ),
            ("<Trigger name=\"t\" function=\"b\"/>", "one of the attributes `folder`"),
            ("<Trigger name=\"t\" folder=\"i\"/>", "`function`"),
            (
                "<Trigger name=\"t\" function=\"b\" folder=\"i\" schedule=\"* * * * *\"/>",
                "one of the attributes `folder`",
            ),
            ("<Trigger name=\"t\" function=\"b\" schedule=\"soon\"/>", "no cron expression"),
            ("<Trigger name=\"t\" function=\"b\" schedule=\"* * * * *\" zone=\"Moon\"/>", "Moon"),
            ("<Trigger name=\"t\" function=\"b\" folder=\"i\" attempts=\"0\"/>", "0 times"),
            (
                "<Trigger name=\"t\" function=\"b\" folder=\"i\" output=\"i\"/>",
                "be invoked for that again",
            ),
            (
                "<Trigger name=\"t\" function=\"b\" folder=\"i\"/>\
                 <Trigger name=\"t\" function=\"b\" folder=\"j\"/>",
                "two triggers",
            ),
        ] {
            let text = format!("<Functions version=\"1\">\n{inside}</Functions>");
            let problem = FunctionsFile::parse(text.as_bytes()).unwrap_err();
            assert!(problem.message.contains(sentence), "{problem}");
            assert_eq!(problem.at.line, 2, "{problem}");
        }
    }
}
