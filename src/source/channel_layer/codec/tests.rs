//! The fixtures are what `channels_redis` 4.3 and msgpack 1.2 write, as hex.

use proptest::prelude::*;

use super::*;
use crate::secret::Secret;

/// `msgpack.packb` of a message with numbers of all widths, floats, texts and objects.
const MESSAGE: &str = "88a474797065ac636861742e6d657373616765a162c3a16ec0a169dc0012007fcc80ccffcd0100cdffffce00010000cf0000000100000000cf8000000000000000cfffffffffffffffffffe0d0dfd080d1ff7fd2ffff7fffd3ffffffff7fffffffd38000000000000000a1669acb3ff0000000000000cb3fb999999999999acb4341c37937e08000cb3ee4f8b588e368f1cb42dc12218377de66cb8000000000000000cb7e37e43c8800759ccb0000000000000001cb3f1a36e2eb1c432dcb430c6bf526340000a173a968c3a90a22f09f9880a16f82a17a01a16180b05f5f617367695f6368616e6e656c5f5f92ae73706563696669632e6161216731ae73706563696669632e6161216732";

/// `json.dumps` of the same without `type` and `__asgi_channel__`.
const DATA: &str = r#"{"b":true,"n":null,"i":[0,127,128,255,256,65535,65536,4294967296,9223372036854775808,18446744073709551615,-1,-32,-33,-128,-129,-32769,-2147483649,-9223372036854775808],"f":[1.0,0.1,1e+16,1e-05,123456789012345.6,-0.0,1e+300,5e-324,0.0001,1000000000000000.0],"s":"hé\n\"😀","o":{"z":1,"a":{}}}"#;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().map(|c| c.to_digit(16).unwrap()).collect();
    let pairs = digits.chunks(2);
    pairs
        .map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap())
        .collect()
}

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.into()).unwrap()
}

fn settings(layer: Layer, serializer: Serializer, keys: &[&str]) -> Settings {
    Settings {
        hosts: Vec::new(),
        layer,
        prefix: "asgi".into(),
        serializer,
        keys: keys.iter().map(|key| Secret::new(*key)).collect(),
        expiry: Duration::from_secs(60),
        group_expiry: Duration::from_secs(86_400),
        capacity: 100,
    }
}

fn data(body: &[u8]) -> Result<String, Unreadable> {
    decode(body, Serializer::Msgpack).map(|message| message.data.get().to_owned())
}

#[test]
fn a_message_of_python_is_read_to_the_digit() {
    let message = decode(&hex(MESSAGE), Serializer::Msgpack).unwrap();
    assert_eq!(message.kind, "chat.message");
    assert_eq!(message.data.get(), DATA);
    assert_eq!(message.to, ["specific.aa!g1", "specific.aa!g2"]);
    assert_eq!(message.replaced, Replaced::default());
}

#[test]
fn a_message_is_written_as_python_writes_it() {
    let to = ["specific.aa!g1".to_owned(), "specific.aa!g2".to_owned()];
    let json = DATA.replacen('{', r#"{"type":"chat.message","#, 1);
    assert_eq!(to_msgpack(&raw(&json), Some(&to)).unwrap(), hex(MESSAGE));
    let json = raw(r#"{"type":"t","x":[1,"é"]}"#);
    let written = to_json(&json, Some(&to[..1])).unwrap();
    let expected = r#"{"type": "t", "x": [1, "\u00e9"], "__asgi_channel__": ["specific.aa!g1"]}"#;
    assert_eq!(String::from_utf8(written).unwrap(), expected);
}

#[test]
fn lengths_of_all_widths_are_written_and_read() {
    for length in [0, 1, 15, 16, 31, 32, 255, 256, 65_535, 65_536] {
        let text = "x".repeat(length);
        let items = vec!["1"; length].join(",");
        let members: Vec<_> = (0..length).map(|n| format!(r#""{n}":{n}"#)).collect();
        let inner = format!(
            r#""s":"{text}","l":[{items}],"m":{{{}}}"#,
            members.join(",")
        );
        let packed = to_msgpack(&raw(&format!(r#"{{"type":"t",{inner}}}"#)), None).unwrap();
        assert_eq!(data(&packed).unwrap(), format!("{{{inner}}}"), "{length}");
    }
}

#[test]
fn what_json_cannot_spell_has_a_stand_in() {
    // {"type": "t", "a": nan, "b": inf, "c": b"\x00\xff", "d": ExtType(5, b"x"), 1: 2,
    //  None: 3, True: 4, 1.5: 5, "e": float32 0.5}
    let body = hex(
        "8aa474797065a174a161cb7ff8000000000000a162cb7ff0000000000000a163c40200ffa164d4057801 02c003c304cb3ff800000000000005a165ca3f000000"
            .replace(' ', "")
            .as_str(),
    );
    let message = decode(&body, Serializer::Msgpack).unwrap();
    let expected =
        r#"{"a":null,"b":null,"c":"AP8=","d":null,"1":2,"null":3,"true":4,"1.5":5,"e":0.5}"#;
    assert_eq!(message.data.get(), expected);
    let replaced = Replaced {
        nan: 2,
        bytes: 1,
        ext: 1,
    };
    assert_eq!(message.replaced, replaced);
    let body = br#"{"type": "t", "a": [NaN, -Infinity, Infinity], "b": "NaN \" Infinity"}"#;
    let message = decode(body, Serializer::Json).unwrap();
    assert_eq!(
        message.data.get(),
        r#"{"a":[null, null, null],"b":"NaN \" Infinity"}"#
    );
    assert_eq!(message.replaced.nan, 3);
}

#[test]
fn a_json_message_keeps_its_spelling() {
    let body = br#"{"type": "t", "x": 1.50, "y": "\u00e9", "__asgi_channel__": ["q!g1"]}"#;
    let message = decode(body, Serializer::Json).unwrap();
    assert_eq!(message.data.get(), r#"{"x":1.50,"y":"\u00e9"}"#);
    assert_eq!(
        (message.kind.as_str(), &message.to[..]),
        ("t", &["q!g1".to_owned()][..])
    );
    let message = decode(br#"{"type": "t"}"#, Serializer::Json).unwrap();
    assert_eq!(message.data.get(), "{}");
}

#[test]
fn what_is_no_message_has_a_reason() {
    use Unreadable::{NoType, NotAMap, TooDeep};
    for (body, expected) in [
        ("90", NotAMap),
        ("01", NotAMap),
        ("80", NoType),
        ("81a17801", NoType),
        ("81a47479706501", NoType),
        ("81a474797065a0", NoType),
    ] {
        assert_eq!(data(&hex(body)), Err(expected), "{body}");
    }
    for cut in 0..MESSAGE.len() / 2 {
        assert!(data(&hex(MESSAGE)[..cut]).is_err(), "{cut}");
    }
    for body in [
        "82a474797065a174a178c1",
        "81a474797065a17401",
        "82a474797065a174a178a1ff",
    ] {
        assert!(
            matches!(data(&hex(body)), Err(Unreadable::Malformed(_))),
            "{body}"
        );
    }
    let deep = |n: usize| [hex("82a474797065a174a178"), vec![0x91; n], vec![1]].concat();
    assert!(data(&deep(99)).is_ok());
    assert_eq!(data(&deep(1_000_000)), Err(TooDeep));
    // It says that four billion items follow.
    assert!(data(&hex("82a474797065a174a178ddffffffff")).is_err());
    for (body, expected) in [
        ("[]", NotAMap),
        ("{}", NoType),
        (r#"{"type":1}"#, NoType),
        ("x", Unreadable::Malformed("it is no JSON")),
    ] {
        let read = decode(body.as_bytes(), Serializer::Json).map(|message| message.kind);
        assert_eq!(read, Err(expected), "{body}");
    }
}

#[test]
fn a_message_comes_through_all_layers_of_writing() {
    let now = SystemTime::now();
    let to = ["specific.aa!g1".to_owned()];
    for layer in [Layer::Core, Layer::PubSub] {
        for serializer in [Serializer::Msgpack, Serializer::Json] {
            for keys in [&[][..], &["new", "old"]] {
                let codec = Codec::new(&settings(layer, serializer, keys));
                let to = (layer == Layer::Core).then_some(&to[..]);
                let json = r#"{"type":"t","n":18446744073709551615}"#;
                let bytes = codec.write(&raw(json), to, now).unwrap();
                let message = codec.read(&bytes, now).unwrap();
                assert_eq!(message.data.get(), r#"{"n":18446744073709551615}"#);
                assert_eq!(message.to, to.unwrap_or_default());
                let other = Codec::new(&settings(layer, serializer, &["other"]));
                assert_eq!(other.read(&bytes, now).unwrap_err(), Unreadable::WrongKey);
            }
        }
    }
}

#[test]
fn what_channels_would_not_take_is_not_sent() {
    for (json, expected) in [
        ("[]", "the message is no object"),
        ("{}", "the message has no `type`"),
        (r#"{"type":1}"#, "the message has no `type`"),
        (
            r#"{"type":"t","x":18446744073709551616}"#,
            "the message holds a whole number that does not fit into 64 bits",
        ),
        (
            r#"{"type":"t","__asgi_channel__":"x"}"#,
            "the message has `__asgi_channel__`, which is Channels' own",
        ),
    ] {
        assert_eq!(
            to_msgpack(&raw(json), None).unwrap_err().to_string(),
            expected
        );
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let begun = [&hex("82a474797065a174a178")[..], &body].concat();
        for body in [&body, &begun] {
            for serializer in [Serializer::Json, Serializer::Msgpack] {
                if let Ok(message) = decode(body, serializer) {
                    let is_object = message.data.get().starts_with('{');
                    prop_assert!(is_object);
                }
            }
        }
    }

    #[test]
    fn floats_are_spelled_so_that_they_come_back(number in any::<f64>()) {
        let body = [&hex("82a474797065a174a178cb")[..], &number.to_be_bytes()].concat();
        let text = data(&body).unwrap();
        let text = text.strip_prefix(r#"{"x":"#).unwrap().strip_suffix('}').unwrap();
        match number.is_finite() {
            true => prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), number.to_bits()),
            false => prop_assert_eq!(text, "null"),
        }
    }
}

/// Any JSON of little depth that has one spelling.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let members = prop::collection::hash_map(any::<String>(), inner.clone(), 0..6);
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(Value::from),
            members.prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_comes_back(value in json()) {
        let now = SystemTime::now();
        let message = serde_json::json!({"type": "t", "x": value});
        for serializer in [Serializer::Msgpack, Serializer::Json] {
            let codec = Codec::new(&settings(Layer::Core, serializer, &["a key"]));
            let to = ["q!g1".to_owned()];
            let bytes = codec.write(&raw(&message.to_string()), Some(&to), now).unwrap();
            let read = codec.read(&bytes, now).unwrap();
            let data: Value = serde_json::from_str(read.data.get()).unwrap();
            prop_assert_eq!(&data["x"], &message["x"]);
            prop_assert_eq!(&read.to, &to);
        }
    }

    #[test]
    fn no_token_panics(body in prop::collection::vec(any::<u8>(), 0..200), cut in 0..300_usize) {
        let now = SystemTime::now();
        let codec = Codec::new(&settings(Layer::Core, Serializer::Msgpack, &["a key"]));
        prop_assert!(codec.read(&body, now).is_err());
        let mut token = codec.write(&raw(r#"{"type":"t"}"#), None, now).unwrap();
        token.truncate(cut);
        token.extend(&body);
        drop(codec.read(&token, now));
    }
}
