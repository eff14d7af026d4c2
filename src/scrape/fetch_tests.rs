//! Fetching from servers that behave, and from servers that don't.

use super::{
    ContentTypeError, FetchError, FetchLimits, Fetcher, Format, GunzipError, PageError, ScrapeError, ScrapeOptions,
    Scraper,
};
use crate::clock::SystemClock;
use crate::counters::Counters;
use crate::dns::Resolver;
use crate::http_client::{HttpClient, HttpClientOptions, HttpError};
use crate::limits::{REDIRECTS_MAX, RESPONSE_HEAD_BYTES_MAX};
use crate::model::{LabelsBuilder, PageOptions, Scheme, ScrapeProtocol, SeriesTable, Target};
use crate::secrets::SecretSource;
use crate::tls::TlsOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n";

/// Takes one connection after the other; the handler is told how many came before.
fn server(handle: impl Fn(usize, TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for (number, connection) in listener.incoming().enumerate() {
            handle(number, connection.unwrap());
        }
    });
    address
}

/// Answers each request on each connection with the same bytes, then closes if told to; requests can be read back.
fn answering(answer: impl Into<Vec<u8>>, keep_open: bool) -> (String, Receiver<(usize, String)>) {
    let answer = answer.into();
    let (seen, requests) = channel();
    let address = server(move |number, connection| {
        let mut reader = BufReader::new(connection.try_clone().unwrap());
        let mut connection = connection;
        while let Some(request) = request(&mut reader) {
            seen.send((number, request)).unwrap_or_default();
            // Who asked may have heard enough before the end.
            if connection.write_all(&answer).is_err() || !keep_open {
                return;
            }
        }
    });
    (address, requests)
}

/// The head of a request; `None` when there are no more.
fn request(reader: &mut impl BufRead) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    Some(head)
}

fn sized(body: &str) -> String {
    format!("{OK}Content-Length: {}\r\n\r\n{body}", body.len())
}

fn encoded(encoding: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("{OK}Content-Encoding: {encoding}\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    bytes.extend(miniz_oxide::deflate::compress_to_vec(data, 6));
    bytes.extend(crc32fast::hash(data).to_le_bytes());
    bytes.extend((data.len() as u32).to_le_bytes());
    bytes
}

fn fetcher(url: String) -> Fetcher {
    fetcher_within(url, Duration::from_secs(5), FetchLimits::default(), TlsOptions::default())
}

fn fetcher_within(url: String, timeout: Duration, limits: FetchLimits, tls: TlsOptions) -> Fetcher {
    Fetcher::new(url, timeout, Rc::default(), limits, client(tls))
}

fn client(tls: TlsOptions) -> Rc<HttpClient> {
    HttpClient::new(&HttpClientOptions { tls, ..HttpClientOptions::default() }, Resolver::new()).unwrap()
}

fn fetch(fetcher: &mut Fetcher) -> Result<String, FetchError> {
    let page = smol::block_on(fetcher.fetch());
    page.map(|fetched| String::from_utf8(fetched.page.to_vec()).unwrap())
}

fn fetch_once(answer: impl Into<Vec<u8>>) -> Result<String, FetchError> {
    let (address, _requests) = answering(answer, false);
    fetch(&mut fetcher(format!("http://{address}/metrics")))
}

#[test]
fn pages_arrive_however_they_are_framed() {
    let chunked = "5\r\na 1\nb\r\n5;x=y\r\n 2\nc \r\n2\r\n3\n\r\n0\r\n\r\n";
    for (answer, page) in [
        (sized("a 1\n"), "a 1\n"),
        (format!("{OK}\r\na 1\n"), "a 1\n"),
        (format!("{OK}Transfer-Encoding: chunked\r\n\r\n{chunked}"), "a 1\nb 2\nc 3\n"),
        (format!("HTTP/1.1 103 Early Hints\r\n\r\n{}", sized("a 1\n")), "a 1\n"),
        ("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\na 1\n".into(), "a 1\n"),
        (sized(&"m{l=\"v\"} 1\n".repeat(20_000)), &"m{l=\"v\"} 1\n".repeat(20_000)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".into(), ""),
    ] {
        assert_eq!(fetch_once(answer.as_bytes()).as_deref(), Ok(page));
    }
}

#[test]
fn requests_look_like_those_of_prometheus() {
    let (address, requests) = answering(sized("a 1\n"), true);
    fetch(&mut fetcher(format!("http://{address}/metrics?x=y"))).unwrap();
    let request = requests.recv().unwrap().1;
    assert!(request.starts_with("GET /metrics?x=y HTTP/1.1\r\n"), "{request}");
    for header in [
        format!("host: {address}"),
        "accept: application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.7,\
         application/openmetrics-text;version=0.0.1;q=0.6,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5,\
         text/plain;version=0.0.4;q=0.4,*/*;q=0.3"
            .into(),
        "accept-encoding: gzip".into(),
        format!("user-agent: Narthex/{}", env!("CARGO_PKG_VERSION")),
        "x-prometheus-scrape-timeout-seconds: 5".into(),
    ] {
        assert!(request.contains(&format!("\r\n{header}\r\n")), "{header} is not in {request}");
    }
}

#[test]
fn the_connection_is_kept_from_scrape_to_scrape() {
    let (address, requests) = answering(sized("a 1\n"), true);
    let mut fetcher = fetcher(format!("http://{address}/metrics"));
    for _ in 0..3 {
        assert_eq!(fetch(&mut fetcher).as_deref(), Ok("a 1\n"));
        assert_eq!(requests.recv().unwrap().0, 0, "on the first connection");
    }
}

#[test]
fn a_kept_connection_that_died_is_replaced() {
    let (address, requests) = answering(sized("a 1\n"), false);
    let mut fetcher = fetcher(format!("http://{address}/metrics"));
    for connection in 0..3 {
        assert_eq!(fetch(&mut fetcher).as_deref(), Ok("a 1\n"));
        assert_eq!(requests.recv().unwrap().0, connection);
    }
}

#[test]
fn a_connection_is_not_kept_when_the_target_closes_it_or_says_too_much() {
    for answer in [format!("{OK}Connection: close\r\nContent-Length: 4\r\n\r\na 1\n"), sized("a 1\n") + "HTTP/1.1 200"]
    {
        let (address, requests) = answering(answer, true);
        let mut fetcher = fetcher(format!("http://{address}/metrics"));
        fetch(&mut fetcher).unwrap();
        drop(requests.recv());
        // The server serves one connection at a time: it turns to the second when the first is closed.
        fetch(&mut fetcher).unwrap();
        assert_eq!(requests.recv().unwrap().0, 1);
    }
}

#[test]
fn answers_that_are_no_page_say_why() {
    let status = |status: &str| format!("HTTP/1.1 {status}\r\nContent-Length: 4\r\n\r\noops");
    let cases = [
        (status("500 Internal Server Error").into(), FetchError::Status("500 Internal Server Error".into())),
        (status("404 Not Found").into(), FetchError::Status("404 Not Found".into())),
        (status("302 Found").into(), FetchError::Status("302 Found".into())),
        ("HTTP/1.1 204 No Content\r\n\r\n".into(), FetchError::Status("204 No Content".into())),
        (encoded("zstd", b"a 1\n"), FetchError::ContentEncoding("zstd".into())),
        (encoded("gzip", b"a 1\n"), FetchError::Gunzip(GunzipError::Header)),
        (encoded("gzip", b""), FetchError::Gunzip(GunzipError::Truncated)),
        (format!("{OK}Content-Length: 9\r\n\r\na 1\n").into(), FetchError::Http(HttpError::Truncated)),
        (format!("{OK}Transfer-Encoding: chunked\r\n\r\n5\r\na 1\n").into(), FetchError::Http(HttpError::Truncated)),
        (
            format!("{OK}Transfer-Encoding: chunked\r\n\r\n4\r\na 1\n\r\n").into(),
            FetchError::Http(HttpError::Truncated),
        ),
        (OK.into(), FetchError::Http(HttpError::Truncated)),
        (Vec::new(), FetchError::Http(HttpError::Unanswered)),
    ];
    for (answer, error) in cases {
        assert_eq!(fetch_once(&*answer), Err(error), "{}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(
        FetchError::Status("500 Internal Server Error".into()).to_string(),
        "server returned HTTP status 500 Internal Server Error"
    );
}

#[test]
fn pages_may_come_compressed() {
    let long = "metric{label=\"value\"} 1\n".repeat(20_000);
    for (answer, page) in [
        (encoded("gzip", &gzip(b"a 1\n")), "a 1\n"),
        (encoded("gzip", &[gzip(b"a 1\n"), gzip(b"b 2\n")].concat()), "a 1\nb 2\n"),
        (encoded("gzip", &gzip(long.as_bytes())), &*long),
        (encoded("identity", b"a 1\n"), "a 1\n"),
        // As in Prometheus, which takes the page for what it is.
        (encoded("utf-8", b"a 1\n"), "a 1\n"),
    ] {
        assert_eq!(fetch_once(answer).as_deref(), Ok(page));
    }
    let whole = gzip(b"a 1\n");
    assert_eq!(fetch_once(encoded("gzip", &whole[..20])), Err(FetchError::Gunzip(GunzipError::Truncated)));
}

#[test]
fn a_gzip_bomb_is_cut_short() {
    let bomb = gzip(&b"a 1\n".repeat(5_000_000));
    assert!(bomb.len() < 50_000, "{} bytes make 20 MB", bomb.len());
    let error = FetchError::PageTooLarge { bytes_max: FetchLimits::default().page_bytes_max };
    assert_eq!(fetch_once(encoded("gzip", &bomb)), Err(error));
}

#[test]
fn the_body_size_limit_is_that_of_the_inflated_page() {
    for (limit, fails) in [(0, false), (400, true), (401, false)] {
        for answer in [encoded("gzip", &gzip(&b"a 1\n".repeat(100))), encoded("", &b"a 1\n".repeat(100))] {
            let (address, _requests) = answering(answer, false);
            let limits = FetchLimits { body_size_bytes_limit: limit, ..FetchLimits::default() };
            let url = format!("http://{address}/metrics");
            let mut fetcher = fetcher_within(url, Duration::from_secs(5), limits, TlsOptions::default());
            assert_eq!(fetch(&mut fetcher).err(), fails.then_some(FetchError::BodySizeLimit { bytes_limit: limit }));
        }
    }
}

/// What is no page is not held to the page's limits: `scrape_body_size_bytes` stays 0, as in Prometheus.
#[test]
fn an_answer_with_another_status_fails_by_that_however_long_or_short_it_is() {
    let body = b"a 1\n".repeat(50_000);
    let head = format!("HTTP/1.1 500 Internal Server Error\r\nContent-Length: {}\r\n\r\n", body.len());
    for sent in [&body[..], &body[..100], &[]] {
        let (address, _requests) = answering([head.as_bytes(), sent].concat(), false);
        let limits = FetchLimits { body_size_bytes_limit: 10, ..FetchLimits::default() };
        let url = format!("http://{address}/metrics");
        let mut fetcher = fetcher_within(url, Duration::from_secs(5), limits, TlsOptions::default());
        let error = fetch(&mut fetcher).unwrap_err();
        assert_eq!(error, FetchError::Status("500 Internal Server Error".into()), "{} bytes", sent.len());
        assert!(!error.is_size_limit());
    }
}

#[test]
fn a_page_is_in_the_format_that_its_content_type_or_else_the_fallback_says() {
    let typed = |header: &str| format!("HTTP/1.1 200 OK\r\n{header}Content-Length: 4\r\n\r\na 1\n");
    let unsupported = |text: &str| Err(ContentTypeError::Unsupported(text.into()));
    for (header, format) in [
        ("", Err(ContentTypeError::Blank)),
        ("Content-Type: \r\n", Err(ContentTypeError::Blank)),
        ("Content-Type: text/html; charset=utf-8\r\n", unsupported("text/html; charset=utf-8")),
        ("Content-Type: \u{ff}/x\r\n", Err(ContentTypeError::Malformed("\u{fffd}/x".into()))),
        ("Content-Type: text/plain\r\n", Ok(Format::Text)),
        ("Content-Type: application/openmetrics-text; version=1.0.0\r\n", Ok(Format::OpenMetrics)),
    ] {
        let answer: Vec<u8> = typed(header).chars().map(|c| c as u8).collect();
        let (address, _requests) = answering(answer, false);
        for fallback_protocol in [None, Some(ScrapeProtocol::OpenMetricsText0_0_1)] {
            let options = PageOptions { fallback_protocol, ..PageOptions::default() };
            let client = client(TlsOptions::default());
            let url = format!("http://{address}/metrics");
            let limits = FetchLimits::default();
            let mut fetcher = Fetcher::new(url, Duration::from_secs(5), Rc::new(options), limits, client);
            let expected =
                if fallback_protocol.is_none() { format.clone() } else { format.clone().or(Ok(Format::OpenMetrics)) };
            assert_eq!(smol::block_on(fetcher.fetch()).unwrap().format, expected, "{header}");
        }
    }
}

#[test]
fn garbage_is_refused() {
    for answer in [b"\x00\xff\xfe\x80garbage".to_vec(), b"SSH-2.0-dropbear\r\n".to_vec(), vec![0x16; 5000]] {
        assert!(matches!(fetch_once(answer), Err(FetchError::Http(HttpError::Protocol(_)))));
    }
    let chunked = format!("{OK}Transfer-Encoding: chunked\r\n\r\nxyz\r\n");
    assert!(matches!(fetch_once(chunked), Err(FetchError::Http(HttpError::Protocol(_)))));
    let endless_head = format!("{OK}X: {}", "x".repeat(2 * RESPONSE_HEAD_BYTES_MAX));
    assert_eq!(
        fetch_once(endless_head),
        Err(FetchError::Http(HttpError::HeadTooLarge { bytes_max: RESPONSE_HEAD_BYTES_MAX }))
    );
}

#[test]
fn endless_pages_and_lines_are_cut_short() {
    let limits = FetchLimits { page_bytes_max: 50_000, line_bytes_max: 1000, ..FetchLimits::default() };
    let endless = |line: &'static [u8]| {
        server(move |_, mut connection| {
            connection.write_all(format!("{OK}\r\n").as_bytes()).unwrap();
            while connection.write_all(line).is_ok() {}
        })
    };
    for (line, error) in [
        (&b"a 1\n"[..], FetchError::PageTooLarge { bytes_max: 50_000 }),
        (&b"a"[..], FetchError::LineTooLong { bytes_max: 1000 }),
    ] {
        let url = format!("http://{}/metrics", endless(line));
        let mut fetcher = fetcher_within(url, Duration::from_secs(5), limits, TlsOptions::default());
        assert_eq!(fetch(&mut fetcher), Err(error));
    }
    let (address, _requests) = answering(sized(&format!("{}\n{}\n", "a".repeat(1000), "b".repeat(1000))), true);
    let mut fetcher =
        fetcher_within(format!("http://{address}/"), Duration::from_secs(5), limits, TlsOptions::default());
    assert!(fetch(&mut fetcher).is_ok(), "lines of just the longest length");
}

#[test]
fn redirects_are_followed_to_a_point() {
    let (last, _last_requests) = answering(sized("a 1\n"), true);
    let redirect = |to: &str| format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 5\r\n\r\nthere");
    let (first, requests) = answering(redirect(&format!("http://{last}/m")), true);
    assert_eq!(fetch(&mut fetcher(format!("http://{first}/metrics"))).as_deref(), Ok("a 1\n"));
    drop(requests);

    let (looping, requests) = answering(redirect("/metrics"), true);
    assert_eq!(
        fetch(&mut fetcher(format!("http://{looping}/metrics"))),
        Err(FetchError::Http(HttpError::TooManyRedirects))
    );
    let connections: Vec<_> = requests.try_iter().map(|(connection, _)| connection).collect();
    assert_eq!(connections, vec![0; REDIRECTS_MAX], "all on the same connection");

    let (bad, _requests) = answering(redirect("ftp://user:secret@x/"), true);
    let error = fetch(&mut fetcher(format!("http://{bad}/metrics"))).unwrap_err();
    assert!(matches!(error, FetchError::Http(HttpError::Url(_))));
    assert!(!error.to_string().contains("secret"));
}

#[test]
fn unreachable_targets_say_why() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = fetch(&mut fetcher(format!("http://{free}/metrics"))).unwrap_err();
    assert_eq!(error.to_string(), format!("connection refused at {free}; is the exporter running?"));
    for url in ["http://a b/metrics", "http:///metrics", "http://h:1/metr ics"] {
        assert!(matches!(fetch(&mut fetcher(url.into())), Err(FetchError::Http(HttpError::Url(_)))), "{url}");
    }
}

#[test]
fn a_target_that_hangs_delays_no_other() {
    let hanging = server(|_, connection| std::mem::forget(connection));
    let (fine, _requests) = answering(sized("a 1\n"), true);
    let timeout = Duration::from_millis(400);
    let within = |address: &str| {
        fetcher_within(format!("http://{address}/metrics"), timeout, FetchLimits::default(), TlsOptions::default())
    };
    let (mut hanging, mut fine) = (within(&hanging), within(&fine));
    let started = Instant::now();
    let executor = smol::LocalExecutor::new();
    smol::block_on(executor.run(async {
        let hung = executor.spawn(async move { hanging.fetch().await.map(|_| ()) });
        for _ in 0..5 {
            assert!(fine.fetch().await.is_ok());
        }
        assert!(started.elapsed() < timeout, "five pages while the other target was waited for");
        let error = hung.await.unwrap_err();
        assert_eq!(error.to_string(), "timed out after 400ms");
        assert!(started.elapsed() >= timeout);
    }));
}

#[test]
fn a_trickle_is_no_excuse() {
    let trickling = server(|_, mut connection| {
        connection.write_all(format!("{OK}Content-Length: 1000\r\n\r\n").as_bytes()).unwrap();
        while connection.write_all(b"a").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    });
    let timeout = Duration::from_millis(200);
    let url = format!("http://{trickling}/metrics");
    let mut fetcher = fetcher_within(url, timeout, FetchLimits::default(), TlsOptions::default());
    assert_eq!(fetch(&mut fetcher), Err(FetchError::TimedOut(timeout)));
}

#[test]
fn https_targets_need_a_certificate_that_is_trusted() {
    let own = rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
    let mut ca_file = tempfile::NamedTempFile::new().unwrap();
    ca_file.write_all(own.cert.pem().as_bytes()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    let (config, served) = (Arc::new(config), Arc::new(Mutex::new(0)));
    let count = served.clone();
    let address = server(move |_, mut connection| {
        let mut session = rustls::ServerConnection::new(config.clone()).unwrap();
        let mut reader = BufReader::new(rustls::Stream::new(&mut session, &mut connection));
        while request(&mut reader).is_some() {
            *count.lock().unwrap() += 1;
            reader.get_mut().write_all(sized("a 1\n").as_bytes()).unwrap();
        }
        drop(connection.read(&mut [0; 16]));
    });
    let url = format!("https://localhost:{}/metrics", address.rsplit(':').next().unwrap());
    let with = |tls| fetcher_within(url.clone(), Duration::from_secs(5), FetchLimits::default(), tls);
    let trusting = TlsOptions { ca: Some(SecretSource::File(ca_file.path().into())), ..TlsOptions::default() };
    let careless = TlsOptions { insecure_skip_verify: true, ..TlsOptions::default() };
    for tls in [trusting, careless] {
        let mut fetcher = with(tls);
        assert_eq!(fetch(&mut fetcher).as_deref(), Ok("a 1\n"));
        assert_eq!(fetch(&mut fetcher).as_deref(), Ok("a 1\n"), "on the kept connection");
    }
    assert_eq!(*served.lock().unwrap(), 4);
    let error = fetch(&mut with(TlsOptions::default())).unwrap_err();
    assert!(matches!(error, FetchError::Http(HttpError::Handshake { .. })), "{error}");
    let missing = TlsOptions { ca: Some(SecretSource::File("/nonexistent".into())), ..TlsOptions::default() };
    assert!(matches!(fetch(&mut with(missing)), Err(FetchError::Http(HttpError::Tls(_)))));
}

#[test]
fn a_scraper_joins_it_all() {
    let (address, _requests) = answering(sized("a 1\n"), false);
    let labels = [("job", "node")].into_iter().collect::<LabelsBuilder>().build().unwrap();
    let target = Target {
        scheme: Scheme::Http,
        address: address.clone(),
        metrics_path: "/metrics".into(),
        params: Default::default(),
        labels,
        interval: Duration::from_secs(15),
        timeout: Duration::from_secs(5),
        socket: None,
        durations_as_written: None,
    };
    let counters = Rc::new(Counters::default());
    let scraper = |target: Target| {
        let client = client(TlsOptions::default());
        let options = ScrapeOptions::default();
        Scraper::new(Rc::new(target), 3, options, Rc::new(SeriesTable::new()), counters.clone(), client).unwrap()
    };
    let clock = SystemClock::new();
    let result = smol::block_on(scraper(target.clone()).scrape(&clock, 1000));
    assert_eq!(result.error, None);
    assert_eq!(result.batch.series.len(), 6);
    assert_eq!(result.batch.values[0], 1.0);
    assert!(result.duration > Duration::ZERO && result.duration.as_secs_f64() == result.batch.values[1]);

    let refused = Target { address: "a b".into(), ..target.clone() };
    let result = smol::block_on(scraper(refused).scrape(&clock, 2000));
    assert!(matches!(result.error, Some(ScrapeError::Fetch(FetchError::Http(HttpError::Url(_))))));
    assert_eq!(result.batch.values[0], 0.0);
    let (typeless, _requests) = answering("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\na 1\n", false);
    let result = smol::block_on(scraper(Target { address: typeless, ..target.clone() }).scrape(&clock, 3000));
    assert_eq!(result.error, Some(ScrapeError::Page(PageError::ContentType(ContentTypeError::Blank))));
    assert_eq!((counters.scrapes.get(), counters.scrapes_failed.get()), (3, 2));

    let too_many = ScrapeError::of_target_count(3, Some(2)).unwrap();
    assert!(too_many.to_string().starts_with("target_limit exceeded (number of targets: 3, limit: 2)"));
    assert_eq!((ScrapeError::of_target_count(2, Some(2)), ScrapeError::of_target_count(9, None)), (None, None));
    let result = scraper(target).refuse(too_many.clone(), 3000);
    assert_eq!((result.error, &result.batch.values[..]), (Some(too_many), &[0.0; 5][..]));
}
