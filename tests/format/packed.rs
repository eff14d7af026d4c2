//! Labels as a segment's dictionary and exemplars have them: names and values by turns, each behind its length.

pub fn unpack(packed: &[u8]) -> Vec<(String, String)> {
    let mut at = 0;
    let mut text = || {
        let (mut len, mut shift) = (0, 0);
        loop {
            let byte = packed[at];
            at += 1;
            len |= usize::from(byte & 127) << shift;
            shift += 7;
            if byte < 128 {
                break;
            }
        }
        at += len;
        (String::from_utf8(packed[at - len..at].to_vec()).unwrap(), at < packed.len())
    };
    let mut labels = Vec::new();
    let mut more = !packed.is_empty();
    while more {
        let name = text().0;
        let (value, goes_on) = text();
        labels.push((name, value));
        more = goes_on;
    }
    labels
}

pub fn pack(labels: &[(String, String)]) -> Vec<u8> {
    let mut packed = Vec::new();
    for text in labels.iter().flat_map(|(name, value)| [name, value]) {
        let mut len = text.len();
        while len > 127 {
            packed.push(len as u8 | 128);
            len >>= 7;
        }
        packed.push(len as u8);
        packed.extend_from_slice(text.as_bytes());
    }
    packed
}
