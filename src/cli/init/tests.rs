//! Whatever stands in a project, a config comes out that can be used, and in bounded
//! time.

use std::fmt::Write;

use proptest::prelude::*;

use super::{
    ask::Ask,
    choices::{Auth, Choices, Events},
    found::Kind,
    project::Project,
    propose,
    python::Module,
    read, report, write,
};

fn project(files: &[(&str, &str)]) -> Project {
    let modules = files
        .iter()
        .map(|(path, text)| Module::read((*path).into(), (*text).into()));
    Project {
        modules: modules.collect(),
        ..Project::default()
    }
}

/// The endpoints' part of the config.
fn config(project: &Project) -> String {
    let found = read::read(project, None);
    let choices = Choices {
        kind: found.kind,
        app: "http://127.0.0.1:8000".parse().unwrap(),
        listen: "127.0.0.1:8080".parse().unwrap(),
        auth: Auth::App {
            url: "/api/me/".into(),
        },
        token: Vec::new(),
        events: Events::None,
        layer: None,
    };
    let written = write::write(&choices, propose::drafts(&found, false)).unwrap();
    let text = report::found(project, &found, &written);
    assert!(
        !text.chars().any(|c| c.is_control() && c != '\n'),
        "{text:?}"
    );
    let at = written.text.find("\n# ").unwrap_or(0);
    let rest = written.text.get(at..).unwrap_or_default();
    rest.split_once("user = \"/id\"\n")
        .map_or("", |(_, rest)| rest)
        .to_owned()
}

const ROUTING: &str = "from django.urls import path\nfrom .consumers import C\n\
    websocket_urlpatterns = [path('ws/it/<int:room>/', C.as_asgi())]\n";

/// A consumer with these lines in its class.
fn consumer(body: &str) -> String {
    let mut text = String::from("import json\nclass C(AsyncWebsocketConsumer):\n");
    for line in body.lines() {
        writeln!(text, "    {line}").unwrap();
    }
    config(&project(&[
        ("a/routing.py", ROUTING),
        ("a/consumers.py", &text),
    ]))
}

#[track_caller]
fn has(body: &str, line: &str) {
    let text = consumer(body);
    assert!(
        text.lines().any(|one| one == line),
        "{line}\nis not in\n{text}"
    );
}

#[test]
fn groups_are_read_however_they_are_written() {
    let user = "topics = [\"n_{user.id}\"]";
    let ways = [
        "self.g = f\"n_{self.scope['user'].id}\"\n    await self.channel_layer.group_add(self.g, self.channel_name)",
        "u = self.scope['user']\n    await self.channel_layer.group_add('n_' + str(u.pk), self.channel_name)",
        "for g in [f'{p}_{self.scope[\"user\"].pk}' for p in ('n',)]:\n        await self.channel_layer.group_add(g, self.channel_name)",
        "layer = self.channel_layer\n    await layer.group_add(group=self.name(), channel=self.channel_name)",
    ];
    for way in ways {
        let body = format!(
            "async def connect(self):\n    {way}\n    await self.accept()\n\
             def name(self):\n    return f\"n_{{self.scope['user'].id}}\""
        );
        has(&body, user);
    }
    has(
        "async def connect(self):\n    r = self.scope['url_route']['kwargs'].get('room')\n    \
         await self.channel_layer.group_add('chat_%s' % r, self.channel_name)\n    \
         await self.channel_layer.group_add(f'room_{r}', self.channel_name)",
        "topics = [\"chat_{room}\", \"room_{room}\"]",
    );
}

#[test]
fn refusals_keep_their_form() {
    let refusals = [
        (
            "if user.is_anonymous:\n        await self.close()",
            "{ http = 403 }",
        ),
        (
            "if user == AnonymousUser():\n        await self.close(code=4001)",
            "{ http = 403 }",
        ),
        (
            "if isinstance(user, AnonymousUser):\n        raise DenyConnection()",
            "{ http = 403 }",
        ),
        (
            "if not user or user.is_anonymous:\n        await self.accept()\n        await self.close(4001, 'who?')",
            "{ close = 4001, reason = \"who?\" }",
        ),
        (
            "if user.is_authenticated:\n        pass\n    else:\n        await self.accept()\n        await self.close(code=4001)",
            "{ close = 4001 }",
        ),
    ];
    for (lines, form) in refusals {
        let body = format!(
            "async def connect(self):\n    user = self.scope['user']\n    {lines}\n        return\n    await self.accept()"
        );
        has(
            &body,
            &format!("refuse = {{ no_token = {form}, bad_token = {form} }}"),
        );
    }
}

#[test]
fn who_is_turned_away_by_a_rule_that_is_not_understood_stays_outside() {
    let body = "async def connect(self):\n    if not self.allowed():\n        return await self.close()\n    await self.accept()";
    has(body, "permit = { ask_app = \"/TODO/{room}/\" }  # TODO");
}

#[test]
fn frames_are_templates() {
    let frames = [
        (
            "json.dumps({'t': 'x', 'v': event['v']})",
            r#"{ t = "x", v = "{data.v}" }"#,
        ),
        (
            "json.dumps({'v': event.get('v', 0)})",
            r#"{ v = "{data.v | default 0}" }"#,
        ),
        (
            "json.dumps({'mine': event['by'] == self.scope['user'].id})",
            r#"{ mine = "{data.by == user.id}" }"#,
        ),
        ("json.dumps(event['data'])", r#""{data.data}""#),
        (
            "json.dumps(event)",
            r#"{ type = "{event.type}", "..." = "{data}" }"#,
        ),
        (
            "json.dumps({'a': f\"{event['x']} {{!}}\", 'b': [1, True]})",
            r#"{ a = "{data.x} {{!}}", b = [1, true] }"#,
        ),
    ];
    for (sent, frame) in frames {
        let body = format!("async def told(self, event):\n    await self.send(text_data={sent})");
        has(&body, &format!("told = {frame}"));
    }
}

#[test]
fn what_cannot_be_a_frame_is_said_with_its_line() {
    for sent in [
        "json.dumps({'a': None})",
        "json.dumps({'a': now()})",
        "render(event)",
        "json.dumps({event['k']: 1})",
    ] {
        let body = format!("async def told(self, event):\n    await self.send(text_data={sent})");
        let text = consumer(&body);
        assert!(
            text.contains("# - a/consumers.py:4: what it sends for `told`: "),
            "{text}"
        );
        assert!(!text.contains("told = "), "{text}");
    }
}

#[test]
fn actions_keep_their_order_and_what_is_the_apps_work_does_nothing() {
    let text = consumer(
        "async def receive_json(self, content):\n    \
         if content.get('action') == 'ping':\n        await self.send_json({'type': 'pong', 'at': content['at']})\n    \
         elif content['action'] in ('read', 'seen'):\n        await database_sync_to_async(mark)(content['id'])\n    \
         else:\n        await self.send_json({'error': 'unknown'})",
    );
    let at = |part: &str| {
        text.find(part)
            .unwrap_or_else(|| panic!("{part}\nis not in\n{text}"))
    };
    let ping =
        at("when = { action = \"ping\" }\nreply = { type = \"pong\", at = \"{message.at}\" }");
    let read = at("when = { action = [\"read\", \"seen\"] }\n# TODO a/consumers.py:7: ");
    let last = at("[[endpoint.actions]]\nreply = { error = \"unknown\" }");
    assert!(ping < read && read < last, "{text}");
    assert!(text.contains("\nignore = true\n"), "{text}");
}

#[test]
fn hostile_code_ends() {
    let doubling = "async def connect(self):\n    x = 'a'\n".to_owned()
        + &"    x = [x, x]\n".repeat(200)
        + "    await self.channel_layer.group_add(x, self.channel_name)";
    let circles = "async def connect(self):\n    await self.a()\n    await self.a()\nasync def a(self):\n    await self.b()\n    await self.b()\n\
        async def b(self):\n    await self.a()\n    await self.a()";
    let deep = format!(
        "async def connect(self):\n    x = {}1{}",
        "(".repeat(5_000),
        ")".repeat(5_000)
    );
    let nested = format!(
        "async def told(self, event):\n    await self.send(text_data=json.dumps({}1{}))",
        "{'a': ".repeat(500),
        "}".repeat(500)
    );
    for body in [doubling.as_str(), circles, &deep, &nested] {
        assert!(consumer(body).contains("path = \"/ws/it/{room:int}/\""));
    }
    let stars = "from .a import *\n".repeat(300) + "from .b import *\n" + ROUTING;
    let routing = "websocket_urlpatterns = [] + websocket_urlpatterns + websocket_urlpatterns\n";
    let all = project(&[
        ("a.py", &stars),
        ("b.py", &stars),
        ("routing.py", routing),
        ("c.py", "class C(C, C, C): pass\nclass C(C): pass"),
    ]);
    config(&all);
}

#[test]
fn a_broken_file_is_read_as_far_as_it_goes() {
    let text = consumer(
        "async def told(self, event):\n    await self.send(text_data=json.dumps({'v': event['v']}))\ndef broken(self):\n    x = = 1",
    );
    assert!(text.contains("path = "), "{text}");
    let found = read::read(&project(&[("a.py", "def (:\n  x = [")]), Some(Kind::Django));
    assert_eq!(found.notes.len(), 1, "{:?}", found.notes);
}

#[test]
fn without_a_person_a_default_that_is_needed_is_asked_for_as_a_flag() {
    let mut silent = Ask::Silent;
    assert!(silent.is_silent());
    assert_eq!(silent.value::<u8>("?", "7").unwrap(), 7);
}

#[test]
fn a_literal_that_may_be_a_secret_is_not_quoted() {
    let text = consumer(
        "async def told(self, event):\n    await self.send(text_data=json.dumps({'v': sign(event, key='hunter2hunter2hunter2')}))",
    );
    assert!(text.contains("told") && !text.contains("hunter2"), "{text}");
}

#[test]
fn groups_of_a_loop_over_what_the_app_knows_are_named_with_their_line() {
    let text = consumer(
        "async def connect(self):\n    for one in await self.mine():\n        await self.channel_layer.group_add(f'chat_{one}', self.channel_name)\n    await self.accept()\nasync def mine(self):\n    return [row.id for row in Rows.all()]",
    );
    assert!(
        text.contains("a/consumers.py:5: which group it joins: "),
        "{text}"
    );
}

/// What branches disagree on, and what is changed on the way, is never told wrongly.
#[test]
fn what_differs_by_branch_is_not_known() {
    let text = consumer(
        "async def one(self, event):\n    text = event['text']\n    if event.get('html'):\n        text = event['html']\n    \
         await self.send_json({'text': text})\n\
         async def two(self, event):\n    event['more'] = load()\n    event.update(other())\n    await self.send_json(event)\n\
         async def three(self, event):\n    del event['type']\n    await self.send_json(event)\n\
         async def four(self, event):\n    out = {'a': event['a']}\n    out['b'] = event['b']\n    await self.send_json(out)",
    );
    assert!(
        !text.contains("one = ") && !text.contains("two = "),
        "{text}"
    );
    assert!(text.contains("\nthree = \"{data}\"\n"), "{text}");
    assert!(
        text.contains("\nfour = { a = \"{data.a}\", b = \"{data.b}\" }\n"),
        "{text}"
    );
}

#[test]
fn what_a_message_must_hold_is_required_and_answered() {
    let text = consumer(
        "async def receive_json(self, content):\n    \
         if content.get('type', 'say') == 'say':\n        \
         if not isinstance(content.get('text'), str):\n            return await self.send_json({'error': 'text'})\n        \
         await self.channel_layer.group_send('g', {'type': 'said', 'text': content['text']})",
    );
    let steps = "\nrequire = { text = \"string\" }\non_invalid = { reply = { error = \"text\" } }\npublish = ";
    for when in ["\"say\"", "{ present = false }"] {
        let action = format!("[[endpoint.actions]]\nwhen = {{ type = {when} }}{steps}");
        assert!(text.contains(&action), "{action}\nis not in\n{text}");
    }
}

#[test]
fn groups_of_the_class_are_joined() {
    has(
        "groups = ['online']\nasync def connect(self):\n    await self.accept()",
        "topics = [\"online\"]",
    );
}

#[test]
fn who_comes_and_goes_is_proposed_and_not_done() {
    let text = consumer(
        "async def connect(self):\n    await self.accept()\n    ONLINE.add(self.user.id)\n    \
         await self.channel_layer.group_send('on', {'type': 'came', 'user': self.user.id})\n\
         async def disconnect(self, code):\n    ONLINE.discard(self.user.id)\n    \
         await self.channel_layer.group_send('on', {'type': 'gone', 'user': self.user.id})",
    );
    for line in [
        "#[endpoint.presence]",
        "#[endpoint.presence.online]",
        "#[endpoint.presence.offline]",
    ] {
        assert!(text.lines().any(|one| one == line), "{line}\n{text}");
    }
    assert!(
        !text
            .lines()
            .any(|line| line.starts_with("[endpoint.presence")),
        "{text}"
    );
}

#[test]
fn a_manager_that_is_given_the_socket_leaves_it_out_or_tells_only_it() {
    let text = config(&project(&[(
        "main.py",
        "from fastapi import FastAPI, WebSocket\n@app.websocket('/ws/{room}')\nasync def ws(websocket: WebSocket, room: str):\n    \
         await manager.connect(websocket, room)\n    while True:\n        data = await websocket.receive_json()\n        \
         if data['type'] == 'say':\n            await manager.broadcast(room, {'type': 'said'}, websocket)\n        \
         else:\n            await manager.send_personal({'type': 'what'}, websocket)",
    )]));
    assert!(
        text.contains("except = \"self\", data = { type = \"said\" }"),
        "{text}"
    );
    assert!(text.contains("\nreply = { type = \"what\" }"), "{text}");
}

const SOURCE: &str = include_str!("../../../tests/fixtures/init/chat/chat/consumers.py");
const FASTAPI: &str = include_str!("../../../tests/fixtures/init/feed/main.py");

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_text_is_read(text in "\\PC{0,300}") {
        config(&project(&[("a/routing.py", &text), ("a/consumers.py", &text)]));
    }

    #[test]
    fn any_change_of_a_project_gives_a_config(
        at in 0usize..4_000, cut in 0usize..40, put in "[a-z(){}\\[\\]\"':,.=\n #@*\\\\]{0,12}", fastapi: bool,
    ) {
        let source = if fastapi { FASTAPI } else { SOURCE };
        let at = at % source.len();
        let changed: String = source.chars().take(at).chain(put.chars()).chain(source.chars().skip(at + cut)).collect();
        let routing = ROUTING.replace("import C", "import ChatConsumer as C");
        config(&project(&[("a/routing.py", &routing), ("a/consumers.py", &changed)]));
    }
}
