//! Remote-Write requests as a receiver reads them: both messages, as far as samples go, by a decoder of the lab's own.

use prost::Message;

/// One sample of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Sorted by name.
    pub labels: Vec<(String, String)>,
    pub value: f64,
    pub timestamp_ms: i64,
}

impl Sample {
    pub fn label(&self, name: &str) -> &str {
        self.labels.iter().find(|(of, _)| of == name).map_or("", |(_, value)| value)
    }
}

/// Whether the head names Remote-Write 2.0.
pub fn is_v2(head: &str) -> bool {
    head.contains("proto=io.prometheus.write.v2.Request")
}

/// Samples in the order of the request.
pub fn samples(head: &str, body: &[u8]) -> Vec<Sample> {
    let plain = snap::raw::Decoder::new().decompress_vec(body).expect("the body is compressed by snappy");
    if is_v2(head) { samples_of_v2(&plain) } else { samples_of_v1(&plain) }
}

fn samples_of_v1(plain: &[u8]) -> Vec<Sample> {
    let request = v1::Request::decode(plain).expect("the body is a WriteRequest");
    let series = request.series.into_iter().flat_map(|series| {
        let labels: Vec<_> = series.labels.into_iter().map(|label| (label.name, label.value)).collect();
        let sample = move |sample: v1::Sample| Sample {
            labels: labels.clone(),
            value: sample.value,
            timestamp_ms: sample.timestamp,
        };
        series.samples.into_iter().map(sample)
    });
    series.collect()
}

fn samples_of_v2(plain: &[u8]) -> Vec<Sample> {
    let request = v2::Request::decode(plain).expect("the body is a Request of 2.0");
    let text = |at: u32| request.symbols[at as usize].clone();
    let mut samples = Vec::new();
    for series in &request.series {
        let labels: Vec<_> = series.labels_refs.chunks(2).map(|pair| (text(pair[0]), text(pair[1]))).collect();
        for v1::Sample { value, timestamp } in &series.samples {
            samples.push(Sample { labels: labels.clone(), value: *value, timestamp_ms: *timestamp });
        }
    }
    samples
}

mod v1 {
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Request {
        #[prost(message, repeated, tag = "1")]
        pub series: Vec<Series>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Series {
        #[prost(message, repeated, tag = "1")]
        pub labels: Vec<Label>,
        #[prost(message, repeated, tag = "2")]
        pub samples: Vec<Sample>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Label {
        #[prost(string, tag = "1")]
        pub name: String,
        #[prost(string, tag = "2")]
        pub value: String,
    }

    #[derive(Clone, Copy, PartialEq, prost::Message)]
    pub struct Sample {
        #[prost(double, tag = "1")]
        pub value: f64,
        #[prost(int64, tag = "2")]
        pub timestamp: i64,
    }
}

mod v2 {
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Request {
        #[prost(string, repeated, tag = "4")]
        pub symbols: Vec<String>,
        #[prost(message, repeated, tag = "5")]
        pub series: Vec<Series>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Series {
        #[prost(uint32, repeated, tag = "1")]
        pub labels_refs: Vec<u32>,
        #[prost(message, repeated, tag = "2")]
        pub samples: Vec<super::v1::Sample>,
    }
}
