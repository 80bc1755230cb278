from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from eval.answers.chat_client import ChatFailed, ChatServer, ChatUnavailable
from eval.answers.judge import Verdict, VerdictUnreadable, agreement, judge, judge_all, parse_verdict
from eval.answers.measures import Measured, measure_all
from index.errors import ConfigInvalid
from tests.eval.answers.made_up_answers import TEA, abstained, answered, question, unanswerable

GOOD = '{"correct": 1.0, "supported": true, "abstained": false}'
BAD = '{"correct": 0, "supported": false, "abstained": false}'
DECLINED = '{"correct": 1, "supported": true, "abstained": true}'


@dataclass
class ToyJudge:
    """A chat server on the loopback: ``reply`` maps a request's user message to status and content."""

    reply: Callable[[dict[str, Any]], tuple[int, str]]
    port: int = 0
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    def server(self, **options: Any) -> ChatServer:
        return ChatServer(f"http://127.0.0.1:{self.port}/v1", "toy-judge", **options)


def completion(text: object) -> str:
    return json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]})


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ToyJudge]]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    running: list[ThreadingHTTPServer] = []

    def start(reply: Callable[[dict[str, Any]], tuple[int, str]]) -> ToyJudge:
        toy = ToyJudge(reply)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                toy.bodies.append(body)
                toy.headers.append(dict(self.headers))
                toy.paths.append(self.path)
                status, content = toy.reply(json.loads(body["messages"][1]["content"]))
                encoded = content.encode()
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("Location", content)
                self.send_header("Content-Length", str(len(encoded)))
                self.end_headers()
                with contextlib.suppress(BrokenPipeError):  # who was too slow is not waited for
                    self.wfile.write(encoded)

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class names it so
                """Stay quiet."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        running.append(server)
        toy.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return toy

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


def measured(*pairs: tuple[Any, Any]) -> list[Measured]:
    return measure_all([asked for asked, _ in pairs], [said for _, said in pairs])


ONE = measured((question(), answered()))


class TestRequest:
    def test_it_holds_question_reference_answer_answer_and_each_cited_passage_once(
        self, serve: Callable[..., ToyJudge]
    ) -> None:
        toy = serve(lambda _: (200, completion(GOOD)))
        said = answered(citations=(answered().citations * 2))
        judge(measured((question(), said))[0], toy.server(key="secret"))
        assert json.loads(toy.bodies[0]["messages"][1]["content"]) == {
            "question": question().text,
            "reference_answer": "八十度。",
            "answer": said.text,
            "passages": [TEA],
        }
        assert toy.paths == ["/v1/chat/completions"]
        assert toy.bodies[0]["temperature"] == 0
        assert toy.bodies[0]["model"] == "toy-judge"
        assert toy.headers[0]["Authorization"] == "Bearer secret"

    def test_without_a_key_none_is_sent_and_a_key_is_never_shown(self, serve: Callable[..., ToyJudge]) -> None:
        toy = serve(lambda _: (200, completion(GOOD)))
        judge(ONE[0], toy.server())
        assert "Authorization" not in toy.headers[0]
        assert "secret" not in repr(toy.server(key="secret"))

    @pytest.mark.parametrize("url", ["file:///etc/passwd", "127.0.0.1:80/v1", "ftp://127.0.0.1/v1", ""])
    def test_only_http_addresses_are_taken(self, url: str) -> None:
        with pytest.raises(ConfigInvalid, match="address of a server"):
            ChatServer(url, "m")


class TestVerdicts:
    def test_the_object_alone_or_in_a_fence(self) -> None:
        wanted = Verdict(correct=1.0, supported=True, abstained=False)
        assert parse_verdict(GOOD, "T1") == wanted
        assert parse_verdict(f"\n```json\n{GOOD}\n```\n", "T1") == wanted

    @pytest.mark.parametrize(
        "reply",
        [
            "",
            "The answer is right.",
            f"Here it is: {GOOD}",
            '{"correct": 1.2, "supported": true, "abstained": false}',
            '{"correct": "1", "supported": true, "abstained": false}',
            '{"correct": 1, "supported": "yes", "abstained": false}',
            '{"correct": 1, "supported": true}',
            '{"correct": NaN, "supported": true, "abstained": false}',
            "[1]",
        ],
    )
    def test_anything_else_is_unreadable_and_names_the_question(self, reply: str) -> None:
        with pytest.raises(VerdictUnreadable, match="verdict on T1"):
            parse_verdict(reply, "T1")


class TestJudging:
    def test_an_unreadable_verdict_is_asked_for_once_more(self, serve: Callable[..., ToyJudge]) -> None:
        replies = iter(["no JSON", GOOD])
        toy = serve(lambda _: (200, completion(next(replies))))
        assert judge(ONE[0], toy.server()).correct == 1.0
        assert len(toy.bodies) == 2

    def test_what_stays_unreadable_is_counted_as_unjudged_and_in_no_figure(
        self, serve: Callable[..., ToyJudge]
    ) -> None:
        toy = serve(lambda request: (200, completion(BAD if "80" in request["answer"] else "?")))
        done: list[int] = []
        found = judge_all(
            measured((question("T1"), answered()), (question("T2"), answered("80 度。", "T2"))),
            toy.server(),
            judged=lambda: done.append(1),
        )
        assert (found.judged, len(done)) == (1, 2)
        assert list(found.unjudged) == ["T1"]
        assert "T1 is unreadable" in found.unjudged["T1"]
        assert (found.figures["judged_correct"].mean, found.figures["judged_correct"].n) == (0.0, 1)
        assert found.verdicts["T2"] == {"correct": 0.0, "supported": False, "abstained": False}

    def test_agreement_with_key_fact_recall_and_with_abstention(self, serve: Callable[..., ToyJudge]) -> None:
        replies = {"八十度，发苦。": GOOD, "不知道。": BAD, "三次。": GOOD}
        toy = serve(lambda request: (200, completion(replies.get(request["answer"], DECLINED))))
        found = judge_all(
            measured(
                (question("T1"), answered("八十度，发苦。")),
                (question("T2"), answered("不知道。", "T2")),
                (question("T3"), answered("三次。", "T3")),
                (unanswerable("U1"), abstained("U1")),
            ),
            toy.server(),
            judged=lambda: None,
        )
        assert found.correctness.n == 3
        assert found.correctness.share == 2 / 3
        assert found.correctness.kappa == pytest.approx((2 / 3 - 4 / 9) / (5 / 9))
        assert found.correctness.correlation == pytest.approx(0.5)
        assert (found.abstention.n, found.abstention.share, found.abstention.kappa) == (4, 1.0, 1.0)
        assert found.figures["judged_supported"].n == 3

    def test_a_judge_that_never_answers_readably_is_an_error(self, serve: Callable[..., ToyJudge]) -> None:
        toy = serve(lambda _: (200, completion("?")))
        with pytest.raises(ChatFailed, match="toy-judge judged no answer"):
            judge_all(ONE, toy.server(), judged=lambda: None)

    def test_an_unknown_model_or_a_wrong_key_stops_at_once(self, serve: Callable[..., ToyJudge]) -> None:
        toy = serve(lambda _: (401, '{"error": "bad key"}'))
        with pytest.raises(ChatUnavailable, match=r"401.*bad key"):
            judge_all(ONE, toy.server(), judged=lambda: None)
        assert len(toy.bodies) == 1

    def test_the_key_is_not_carried_to_another_address(self, serve: Callable[..., ToyJudge]) -> None:
        other = serve(lambda _: (200, completion(GOOD)))
        toy = serve(lambda _: (307, f"http://127.0.0.1:{other.port}/v1/chat/completions"))
        with pytest.raises(ChatUnavailable, match="307"):
            judge(ONE[0], toy.server(key="secret"))
        assert other.bodies == []

    def test_nobody_there_is_said_at_once(self, serve: Callable[..., ToyJudge]) -> None:
        free = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
        port = free.server_address[1]
        free.server_close()
        with pytest.raises(ChatUnavailable, match="cannot be reached"):
            judge(ONE[0], ChatServer(f"http://127.0.0.1:{port}/v1", "m"))

    def test_a_slow_judge_is_given_up_on(self, serve: Callable[..., ToyJudge]) -> None:
        release = threading.Event()
        toy = serve(lambda _: (release.wait(10), (200, completion(GOOD)))[1])
        with pytest.raises(ChatFailed, match="did not answer in"):
            judge(ONE[0], toy.server(timeout_s=0.05))
        release.set()

    @pytest.mark.parametrize("content", ["not JSON", "{}", '{"choices": []}', completion(None), "[]"])
    def test_what_is_no_completion_fails(self, serve: Callable[..., ToyJudge], content: str) -> None:
        toy = serve(lambda _: (200, content))
        with pytest.raises(ChatFailed):
            judge(ONE[0], toy.server())
        assert len(toy.bodies) == 2

    def test_a_busy_server_is_asked_once_more(self, serve: Callable[..., ToyJudge]) -> None:
        replies = iter([(503, "busy"), (200, completion(GOOD))])
        assert judge(ONE[0], serve(lambda _: next(replies)).server()).correct == 1.0


class TestAgreement:
    def test_kappa_is_agreement_beyond_chance(self) -> None:
        # 20 of 50 both yes, 15 both no, 5 and 10 apart: observed .7, chance .5 * .6 + .5 * .4 = .5
        counted = [True] * 20 + [False] * 15 + [True] * 5 + [False] * 10
        judged = [True] * 20 + [False] * 15 + [False] * 5 + [True] * 10
        found = agreement(counted, judged, correlation=None)
        assert (found.n, found.share) == (50, 0.7)
        assert found.kappa == pytest.approx(0.4)

    def test_without_answers_or_without_variation_it_is_not_defined(self) -> None:
        assert agreement([], [], correlation=None).share is None
        assert agreement([True, True], [True, True], correlation=None).kappa is None
