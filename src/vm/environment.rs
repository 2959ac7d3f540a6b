//! An execution environment of a built-in function: a workload on emulated vCPUs, as in a VM, that
//! takes events on its input and answers each with a line, instead of requests over a network.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, BufRead, Write};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use base64_simd::STANDARD;
use hyper::header::{HeaderName, HeaderValue};
use hyper::http::request::Parts;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::job::{self, Kind, Output};
use super::service::problem;
use super::virtual_cpu::{JobPacer, VirtualCpu};
use crate::domain::instance_type::InstanceType;
use crate::http::{Cost, X_CUMULET_WORK};
use crate::units::Share;
use crate::workload::raytracer::{self, RenderRequest, Rendered, View};
use crate::workload::wire::event::{Answer, Figures, Request};
use crate::workload::wire::query;
use crate::workload::{Error, Limits, Run, Usage};

/// An environment of one built-in function.
#[derive(Debug)]
pub struct Environment {
    kind: Kind,
    cpu: Arc<VirtualCpu>,
    threads: NonZeroUsize,
    limits: Limits,
}

impl Environment {
    /// For this workload, with so many vCPUs: on as many threads as these are when rounded up, which
    /// together are held to the number itself.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "such a cast saturates, and a function has at most 6"
    )]
    pub fn new(kind: Kind, vcpus: f64, limits: Limits) -> Self {
        let whole = vcpus.ceil().max(1.0);
        let threads = NonZeroUsize::new(whole as usize).unwrap_or(NonZeroUsize::MIN);
        let machine = InstanceType {
            name: "function".to_owned(),
            vcpus: u32::try_from(threads.get()).ok(),
            memory_bytes: None,
            baseline: None,
            credits_per_hour: 0.0,
            launch_credits: 0.0,
            max_credits: 0.0,
            unlimited: false,
            price_per_hour: 0.0,
            boot: Duration::ZERO,
        };
        let cpu = Arc::new(VirtualCpu::new(&machine, Share::saturating(vcpus / whole), 1.0));
        Self { kind, cpu, threads, limits }
    }

    /// Answers each line of `input` with a line, until the input ends.
    ///
    /// # Errors
    /// If the input cannot be read or the output cannot be written.
    pub fn serve(&self, mut input: impl BufRead, mut output: impl Write) -> io::Result<()> {
        let mut line = Vec::new();
        while input.read_until(b'\n', &mut line)? > 0 {
            serde_json::to_writer(&mut output, &self.answer(&line))?;
            output.write_all(b"\n")?;
            output.flush()?;
            line.clear();
        }
        Ok(())
    }

    /// The answer to one event.
    fn answer(&self, event: &[u8]) -> Value {
        let event: Value = match serde_json::from_slice(event) {
            Ok(event) => event,
            Err(error) => return mistake(&format!("the event is not JSON: {error}")),
        };
        let answered = match (event, self.kind) {
            (Value::Object(fields), _) if fields.contains_key("uri") => {
                return match serde_json::from_value(Value::Object(fields)) {
                    Ok(request) => json!(self.request(&request)),
                    Err(error) => mistake(&format!("the event is not a request: {error}")),
                };
            }
            (Value::Object(fields), Kind::Raytrace) => self.scene(&fields),
            (Value::Object(fields), Kind::Blur | Kind::Enhance) => self.picture(&fields),
            _ => Err(malformed("the event is not a JSON object".to_owned())),
        };
        answered.map_or_else(|error| mistake(&error.to_string()), Value::String)
    }

    /// A request as a VM would answer it.
    fn request(&self, request: &Request) -> Answer {
        let done = head(request).and_then(|head| {
            let body = decode("body", &request.body)?;
            self.perform(output_usage, |run| job::perform(self.kind, &head, body.into(), run))
        });
        match done {
            Ok((output, cpu)) => answer(output, cpu),
            Err(error) => {
                let problem = problem(&error);
                Answer {
                    status_code: problem.status.as_u16(),
                    headers: BTreeMap::new(),
                    body: problem.detail,
                    figures: None,
                }
            }
        }
    }

    /// A picture: `{"body": base64, "fileFormat": "jpg"}`, answered with base64.
    fn picture(&self, event: &Map<String, Value>) -> Result<String, Error> {
        let format = text(event, "fileFormat").or_else(|_| text(event, "format"))?;
        let body = format!("data:image/{format};base64,{}", text(event, "body")?);
        let head = head_of("/")?;
        let body = body.into_bytes().into();
        let (output, _) =
            self.perform(output_usage, |run| job::perform(self.kind, &head, body, run))?;
        if let Some(refusal) = output.refusal {
            return Err(Error::Unprocessable(refusal));
        }
        let url = String::from_utf8_lossy(&output.body);
        Ok(url.split_once(',').map_or("", |(_, data)| data).to_owned())
    }

    /// A scene: the parameters of a render and `{"input": base64, "texmap": base64}`, answered with
    /// a picture in base64.
    fn scene(&self, event: &Map<String, Value>) -> Result<String, Error> {
        let mut parameters = String::new();
        for name in ["scols", "srows", "wcols", "wrows", "coff", "roff", "aa"] {
            let value = match event.get(name) {
                Some(Value::String(value)) => value.clone(),
                Some(value) => value.to_string(),
                None => continue,
            };
            // Writing to a String cannot fail.
            let _ = write!(parameters, "{name}={value}&");
        }
        let wanted = query::parse(&parameters)?;
        let view = View {
            scene_columns: wanted.scols,
            scene_rows: wanted.srows,
            window_columns: wanted.wcols,
            window_rows: wanted.wrows,
            column_offset: wanted.coff,
            row_offset: wanted.roff,
            antialias: wanted.aa,
        };
        let scene = decode("input", text(event, "input")?)?;
        let texmap = match event.get("texmap") {
            Some(_) => Some(decode("texmap", text(event, "texmap")?)?),
            None => None,
        };
        let request = RenderRequest { scene: &scene, texmap: texmap.as_deref(), view };
        let (done, _) =
            self.perform(|done: &Rendered| done.usage, |run| raytracer::render(&request, run))?;
        Ok(STANDARD.encode_to_string(&done.bmp))
    }

    /// Runs a job on threads of its own, at the speed of the vCPUs. Says what CPU time it took.
    fn perform<T: Send>(
        &self,
        usage: fn(&T) -> Usage,
        job: impl FnOnce(&Run<'_>) -> Result<T, Error> + Send,
    ) -> Result<(T, Duration), Error> {
        let work = || {
            let pacer = JobPacer::new(Arc::clone(&self.cpu), CancellationToken::new());
            let run = Run { threads: self.threads, pacer: &pacer, limits: &self.limits };
            let done = job(&run)?;
            pacer.settle(usage(&done).cpu)?;
            Ok((done, pacer.charged()))
        };
        std::thread::scope(|scope| scope.spawn(work).join()).unwrap_or_else(|_| {
            let sentence = "the event made the program stumble; please report it with the event";
            Err(Error::Unprocessable(sentence.to_owned()))
        })
    }
}

fn output_usage(output: &Output) -> Usage {
    output.usage
}

/// What became of a job that was done.
fn answer(output: Output, cpu: Duration) -> Answer {
    let cost = Cost { work: output.usage.work, cpu };
    let mut headers = BTreeMap::from([("content-type".to_owned(), output.content_type.to_owned())]);
    match output.refusal {
        Some(reason) => headers.insert("x-cumulet-reason".to_owned(), reason),
        None => headers.insert(X_CUMULET_WORK.as_str().to_owned(), cost.to_string()),
    };
    let figures = Figures {
        width: output.width,
        height: output.height,
        work: output.usage.work,
        cpu_micros: u64::try_from(cpu.as_micros()).unwrap_or(u64::MAX),
        extra: output.extra.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
    };
    Answer {
        status_code: 200,
        headers,
        body: STANDARD.encode_to_string(&output.body),
        figures: Some(figures),
    }
}

/// An answer that says what is wrong with the event, as functions do it everywhere.
fn mistake(sentence: &str) -> Value {
    json!({ "errorMessage": sentence, "errorType": "BadEvent" })
}

fn malformed(sentence: String) -> Error {
    Error::Malformed(sentence)
}

fn text<'a>(event: &'a Map<String, Value>, name: &str) -> Result<&'a str, Error> {
    let value = event.get(name).and_then(Value::as_str);
    value.ok_or_else(|| malformed(format!("the event needs the text `{name}`")))
}

fn decode(name: &str, base64: &str) -> Result<Vec<u8>, Error> {
    base64_simd::forgiving_decode_to_vec(base64.as_bytes())
        .map_err(|_| malformed(format!("`{name}` of the event is not base64")))
}

/// The head of a request.
fn head(request: &Request) -> Result<Parts, Error> {
    let mut head = head_of(&request.uri)?;
    for (name, value) in &request.headers {
        let pair = (HeaderName::try_from(name), HeaderValue::try_from(value));
        let (Ok(name), Ok(value)) = pair else {
            return Err(malformed(format!("`{name}` in the event is not a header")));
        };
        head.headers.insert(name, value);
    }
    Ok(head)
}

/// A head of which only the address is known.
fn head_of(uri: &str) -> Result<Parts, Error> {
    let request = hyper::Request::post(uri).body(());
    let request = request.map_err(|_| malformed("`uri` of the event is not one".to_owned()))?;
    Ok(request.into_parts().0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(kind: Kind) -> Environment {
        Environment::new(kind, 1.5, Limits::default())
    }

    fn answers(kind: Kind, lines: &str) -> Vec<Value> {
        let mut output = Vec::new();
        environment(kind).serve(lines.as_bytes(), &mut output).unwrap();
        let output = String::from_utf8(output).unwrap();
        output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn png() -> String {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, 2, 1);
        encoder.set_color(png::ColorType::Rgb);
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(&[9, 9, 9, 200, 200, 200]).unwrap();
        drop(writer);
        STANDARD.encode_to_string(&file)
    }

    const SCENE: &str = "0 2 9  0 0.5 0  0 1 0  35\n1\n0 0 0  .3 .3 .35  1 0 0\n1\n\
                         solid .9 .2 .1\n1\n.4 .7 0  1 0 0 0\n1\n0 0 sphere 0 .3 0 1.2\n";

    #[test]
    fn a_picture_is_answered_with_a_picture_and_the_next_line_too() {
        let event = json!({ "body": png(), "fileFormat": "png" });
        let found = answers(Kind::Blur, &format!("{event}\n{event}\n"));
        assert_eq!(found.len(), 2);
        assert_eq!(found[0], found[1]);
        let picture = decode("answer", found[0].as_str().unwrap()).unwrap();
        assert!(picture.starts_with(b"\x89PNG"));
    }

    #[test]
    fn a_scene_is_answered_with_a_bitmap() {
        let mut event = json!({ "scols": "8", "srows": "6", "wcols": "8", "wrows": 6 });
        event["coff"] = "0".into();
        event["roff"] = "0".into();
        event["input"] = STANDARD.encode_to_string(SCENE).into();
        let found = answers(Kind::Raytrace, &event.to_string());
        let picture = decode("answer", found[0].as_str().unwrap()).unwrap();
        assert!(picture.starts_with(b"BM"));
    }

    #[test]
    fn a_request_is_answered_as_a_vm_does() {
        let ask = |body: &str| {
            let body = STANDARD.encode_to_string(body);
            let event = json!({ "uri": "/blurimage", "body": body });
            serde_json::from_value::<Answer>(answers(Kind::Blur, &event.to_string()).remove(0))
        };
        let good = ask(&format!("data:image/png;base64,{}", png())).unwrap();
        assert_eq!(good.status_code, 200);
        let body = decode("body", &good.body).unwrap();
        assert!(body.starts_with(b"data:image/png;base64,"));
        assert_eq!(good.figures.map(|figures| (figures.width, figures.height)), Some((2, 1)));
        assert!(good.headers["x-cumulet-work"].parse::<Cost>().is_ok());
        let bad = ask("no picture").unwrap();
        assert!((400..500).contains(&bad.status_code) && !bad.body.is_empty(), "{bad:?}");
    }

    #[test]
    fn a_bad_event_is_answered_with_a_sentence() {
        for (kind, event, sentence) in [
            (Kind::Blur, "{", "not JSON"),
            (Kind::Blur, "[]", "not a JSON object"),
            (Kind::Blur, "{}", "`format`"),
            (Kind::Enhance, r#"{"fileFormat":"png","body":"?"}"#, ""),
            (Kind::Raytrace, "{}", "`scols`"),
            (Kind::Blur, r#"{"uri":"\u0001"}"#, ""),
            (Kind::Blur, r#"{"uri":7}"#, "not a request"),
        ] {
            let found = answers(kind, event).remove(0);
            let said = found["errorMessage"].as_str().or(found["body"].as_str()).unwrap();
            assert!(!said.is_empty() && said.contains(sentence), "{event}: {said}");
        }
    }
}
