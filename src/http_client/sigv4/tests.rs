use super::*;
use crate::secrets::SecretSource;
use std::time::Duration;

const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

fn options(region: &str, service: &str) -> SigV4Options {
    SigV4Options {
        region: region.into(),
        service: service.into(),
        access_key: "AKIDEXAMPLE".into(),
        secret_key: SecretSource::Inline(Secret::new(SECRET_KEY)),
    }
}

fn rows(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    table.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect())
}

#[test]
fn awss_own_test_suite_holds() {
    let mut count = 0;
    for row in rows(include_str!("aws.tsv")) {
        let [name, method, normalized, path, query, headers, body, signature] = row[..] else { panic!("{row:?}") };
        let path = if normalized == "clean" { clean(path) } else { path.into() };
        let signed: Vec<(&str, &str)> = headers.split(" \\ ").map(|header| header.split_once(':').unwrap()).collect();
        let canonical =
            canonical_request(method, &encoded_path(&path), &canonical_query(query), &signed, body.as_bytes());
        let options = options("us-east-1", "service");
        let made = authorization(&options, &Secret::new(SECRET_KEY), "20150830T123600Z", &signed, &canonical);
        let start = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=";
        assert!(made.starts_with(start), "{name}: {made}");
        assert!(made.ends_with(&format!("Signature={signature}")), "{name}: {made}\n{canonical}");
        count += 1;
    }
    assert_eq!(count, 37);
}

fn time_of(text: &str) -> SystemTime {
    let (date, time) = (&text[..8], &text[9..15]);
    let part = |text: &str, at: usize| text[at..at + 2].to_owned();
    let (day, hour) = (format!("{}-{}-{}", &date[..4], part(date, 4), part(date, 6)), part(time, 0));
    humantime::parse_rfc3339(&format!("{day}T{hour}:{}:{}Z", part(time, 2), part(time, 4))).unwrap()
}

#[test]
fn requests_are_signed_as_prometheus_signs_them() {
    let bodies = [Vec::new(), b"body".to_vec(), b"\x00\xffabc".repeat(50)];
    for row in rows(include_str!("prometheus.tsv")) {
        let [url, service, body, time, sent, end] = row[..] else { panic!("{row:?}") };
        let body = &bodies[body.parse::<usize>().unwrap()];
        let mut request = Request::post(url)
            .header("content-encoding", "snappy")
            .header("content-type", "application/x-protobuf;proto=io.prometheus.write.v2.Request")
            .header("user-agent", "Prometheus/3")
            .header("x-prometheus-remote-write-version", "2.0.0")
            .body(())
            .unwrap();
        if !body.is_empty() {
            request.headers_mut().insert("content-length", body.len().into());
        }
        if end.contains("retry-attempt") {
            request.headers_mut().insert("retry-attempt", 3.into());
        }
        // What is added to each request isn't signed.
        request.headers_mut().insert("x-scope-orgid", HeaderValue::from_static("fleet"));
        let time_after = time_of(time) + Duration::from_millis(999);
        sign(&options("eu-central-1", service), &Secret::new(SECRET_KEY), time_after, &mut request, body).unwrap();
        assert_eq!(request.uri().path_and_query().unwrap().as_str(), sent, "{url}");
        let authorization = &request.headers()["authorization"];
        assert!(
            authorization.to_str().unwrap().ends_with(&format!(", {end}")),
            "{url}: {}",
            authorization.to_str().unwrap()
        );
        assert!(authorization.is_sensitive());
        assert_eq!(request.headers()["x-amz-date"], time);
    }
}
