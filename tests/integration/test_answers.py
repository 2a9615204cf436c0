"""Whatever a function does, the host gets an answer that it takes: nothing that it mangles, drops or hangs on."""

import base64
import json
import unittest

import probe
from azfn_local.answer import decode_answer
from azfn_local.wire import WireError
from probe import ask, envelope, queue_message

DATE = "2024-01-02T03:04:05Z"


def http_envelope(function, words):
    return envelope(function, {"Data": {"req": {"Url": "http://localhost/api/x", "Method": "GET", "Query": {},
                                                "Headers": {"x-do": [words]}, "Params": {}}}, "Metadata": {}})


class Answers(probe.TestCase):
    forwarding = True

    @classmethod
    def setUpClass(cls):
        case = cls("run_nothing")
        cls.shared = case.probe_app(forwarding=cls.forwarding, policy={"functions": {
            "Ask": {"timeoutMs": 300, "maxConcurrent": 2}, "AskQueue": {"timeoutMs": 300},
            "AskReturn": {"timeoutMs": 300}}})
        cls.shared.__enter__()
        cls.addClassCleanup(case.doCleanups)
        cls.addClassCleanup(cls.shared.__exit__, None, None, None)

    def run_nothing(self):
        pass

    def outcome(self, function, data):
        """What the real host would make of the answer."""
        return decode_answer(self.shared.app.function(function), self.shared.request(data))


class Forwarded(Answers):
    def reply(self, words):
        return probe.exchange(self.connect(self.shared), ask(words))

    def test_a_reply_arrives_as_it_was_given(self):
        answer = self.reply("status=418 type=text/x-tea header=X-One:1 header=Set-Cookie:a=1 header=Set-Cookie:b=2 "
                            "body=short~and~stout reply")
        self.assertEqual((answer.status, answer.body), (418, b"short and stout"))
        self.assertEqual(answer.header("content-type"), "text/x-tea")
        self.assertEqual(answer.header_all("set-cookie"), ["a=1", "b=2"])

    def test_binary_bodies_are_forwarded_as_they_are(self):
        self.assertEqual(self.reply("body=\\x00\\xff\\xfe reply").body, b"\x00\xff\xfe")

    def test_redirects_pass(self):
        answer = self.reply("status=302 header=Location:https://example.com/ reply")
        self.assertEqual((answer.status, answer.header("location")), (302, "https://example.com/"))

    def test_success_without_a_reply_is_204(self):
        answer = self.reply("succeed")
        self.assertEqual((answer.status, answer.header("content-length"), answer.body), (204, None, b""))

    def check_refused(self, words, what):
        answer = self.reply(words)
        self.assertEqual((answer.status, answer.body), (500, b"500 Internal Server Error\n"), words)
        line = self.shared.wait_for_line(lambda line: "was refused" in line.text and what in line.text)
        self.assertEqual(line.level, "Error")

    def test_what_the_host_would_mangle_is_refused_at_once(self):
        for words, what in (("status=99 reply", "the status"), ("status=101 reply", "the status"),
                            ("status=600 reply", "the status"), ("status=-1 reply", "the status"),
                            ("status=204 body=x reply", "a body with a status that has none"),
                            ("status=304 body=x reply", "a body with a status that has none"),
                            ("header=X:a\\x0d\\x0aSet-Cookie:b reply", "a header"),
                            ("header=X:caf\\xc3\\xa9 reply", "a header"), ("header=X: reply", "a header"),
                            ("header=Content-Length:5 reply", "a header"),
                            ("header=Transfer-Encoding:chunked reply", "a header"),
                            ("header=Connection:close reply", "a header"), ("header=Bad~Name:x reply", "a header"),
                            ("header=Content-Type:text/html reply", "a header"),
                            ("type=text/plain\\x0d\\x0aX:y reply", "the content type")):
            with self.subTest(words=words):
                self.check_refused(words, what)
        self.shared.wait_for_line("reply AZFN_ERROR_INVALID_ARGUMENT")

    def test_a_failure_hides_its_reason_from_the_caller(self):
        answer = self.reply("fail")
        self.assertEqual((answer.status, answer.body), (500, b"500 Internal Server Error\n"))
        line = self.shared.wait_for_line("asked to fail")
        self.assertEqual(line.level, "Error")
        self.assertIn('"invocation_id":"ask-1"', line.text)

    def test_the_deadline_answers_for_a_function_that_never_does(self):
        self.assertEqual(self.reply("never").status, 504)
        self.assertEqual(self.reply("delay=100000 reply").status, 504)
        self.shared.wait_for_line("within its timeoutMs")
        self.assertEqual(self.reply("body=on reply").body, b"on")

    def test_a_second_answer_is_refused_and_changes_nothing(self):
        self.assertEqual(self.reply("body=first twice").body, b"first")
        self.shared.wait_for_line("second AZFN_ERROR_STATE")
        self.shared.wait_for_line("already answered")
        self.assertEqual(self.reply("body=next reply").body, b"next")

    def test_an_answer_to_what_is_over_never_reaches_another_caller(self):
        for words in ("stash body=first reply", "stash never"):
            self.reply(words)
            self.assertEqual(self.reply("poke body=mine reply").body, b"mine")
            self.shared.wait_for_line("poke AZFN_ERROR_STATE 0 0")
            self.shared.wait_for_line("came back to an invocation that was over")

    def test_an_answer_from_a_later_callback_arrives(self):
        self.assertEqual(self.reply("delay=5 delay=5 body=later reply").body, b"later")

    def test_more_than_max_concurrent_get_429(self):
        waiting = [self.connect(self.shared) for _ in range(2)]
        for number, connection in enumerate(waiting):
            connection.sendall(ask(f"print=holds-{number} delay=200 reply"))
            self.shared.wait_for_line(f"holds-{number}")
        self.assertEqual(self.reply("reply").status, 429)
        self.shared.wait_for_line("excess_rate_limit_exceeded:function")
        for connection in waiting:
            self.assertEqual(probe.read_response(connection).status, 200)
        self.assertEqual(self.reply("reply").status, 200)


class Enveloped(Answers):
    forwarding = False

    def http(self, words, function="Ask"):
        outcome = self.outcome(function, http_envelope(function, words))
        self.assertFalse(outcome.hangs, words)
        self.assertEqual(outcome.warnings, [], words)
        return outcome

    def test_a_reply_arrives_as_it_was_given(self):
        for function in ("Ask", "AskReturn"):
            http = self.http("status=418 type=text/x-tea header=X-One:1 header=Set-Cookie:a=1 "
                             "body=short~and~{\"stout\":1} reply", function).http
            self.assertEqual((http.status, http.body), (418, b'short and {"stout":1}'))
            headers = {name.lower(): value for name, value in http.headers}
            self.assertEqual((headers["x-one"], headers["set-cookie"]), ("1", "a=1"))
            self.assertIn("text/x-tea", headers["content-type"])

    def test_success_without_a_reply_is_204(self):
        for function in ("Ask", "AskReturn"):
            self.assertEqual(self.http("succeed", function).http.status, 204)

    def test_what_the_host_would_mangle_is_refused_at_once(self):
        for words in ("status=99 reply", "status=1000 reply", "status=204 body=x reply", "body=\\xff\\xfe reply",
                      f"body={DATE} reply", f"header=X:{DATE} reply", "header=X:a\\x0ab reply", "header=X:\\xc3\\xa9 reply",
                      "header=Content-Encoding:gzip reply", "header=Set-Cookie:a=1 header=set-cookie:b=2 reply"):
            with self.subTest(words=words):
                outcome = self.http(words)
                self.assertFalse(outcome.ok)
        self.shared.wait_for_line("was refused")

    def test_a_failure_and_a_deadline_fail_the_invocation(self):
        for words in ("fail", "never"):
            self.assertFalse(self.http(words).ok)
            response = self.shared.request(queue_message("AskQueue", words))
            self.assertEqual(response.status, 500)
            self.assertNotEqual(response.body, b"")

    def test_no_answer_is_ever_empty(self):
        response = self.shared.request(queue_message("AskQueue", "succeed"))
        self.assertEqual((response.status, json.loads(response.body)), (200, {"Logs": []}))
        self.assertEqual(response.header("content-type"), "application/json")

    def test_an_http_reply_to_a_queue_message_is_refused(self):
        self.assertEqual(self.shared.request(queue_message("AskQueue", "body=x reply")).status, 500)

    def test_logs_are_tied_to_the_invocation_and_survive_a_failure(self):
        outcome = self.outcome("AskQueue", queue_message("AskQueue", 'info=a~"quoted"~line succeed'))
        self.assertEqual(outcome.logs, ['a "quoted" line'])
        self.shared.request(queue_message("AskQueue", "info=lost~otherwise fail"))
        line = self.shared.wait_for_line("lost otherwise")
        self.assertEqual(line.level, "Information")
        self.assertIn('"invocation_id":"event-1"', line.text)

    def test_what_is_more_than_information_keeps_its_level(self):
        outcome = self.outcome("AskQueue", queue_message("AskQueue", "log=beside~the~answer succeed"))
        self.assertEqual(outcome.logs, [])
        line = self.shared.wait_for_line("beside the answer")
        self.assertEqual(line.level, "Warning")
        self.assertIn('"invocation_id":"event-1"', line.text)

    def test_no_line_has_its_level_from_its_text(self):
        forged = "[Error]~none\\x0a[Error]~none\\x1b[31m"
        outcome = self.outcome("AskQueue", queue_message("AskQueue", f"info={forged} succeed"))
        self.assertEqual(outcome.logs, ["[Error] none\\n[Error] none\\u001b[31m"])
        self.shared.request(queue_message("AskQueue", f"info={forged} fail"))
        self.assertEqual(self.shared.wait_for_line("none").level, "Information")

    def outputs(self, **message):
        outcome = self.outcome("Outputs", queue_message("Outputs", json.dumps(message)))
        return outcome

    def test_every_text_arrives_as_it_was_meant(self):
        texts = ["test", "data1234", "plain out", "", "\u00e9\u4e2d\U0001f600", '{"a": 1}', "[1,2]", "5", "null", "1.0", "true",
                 "line\nline", "a\u0000b", "\ufffd", " padded ", '"quoted"', "ZGF0YQ==", "x" * 100000]
        for text in texts:
            with self.subTest(text=text[:20]):
                outcome = self.outputs(outputs=[["plain", text], ["binary", text], ["file", text]])
                self.assertTrue(outcome.ok)
                for name in ("plain", "binary", "file"):
                    self.assertEqual(outcome.outputs[name], [text.encode()], name)

    def test_several_messages_arrive_each_by_itself(self):
        texts = ["test", '{"a": 1}', "data1234", "", "[1]"]
        outcome = self.outputs(outputs=[[name, text] for text in texts for name in ("plain", "binary")])
        for name in ("plain", "binary"):
            self.assertEqual(outcome.outputs[name], [text.encode() for text in texts])

    def test_a_date_arrives_where_it_can_and_is_refused_where_it_can_not(self):
        self.assertEqual(self.outputs(outputs=[["plain", DATE]]).outputs["plain"], [DATE.encode()])
        for outputs in ([["binary", DATE]], [["plain", "x"], ["plain", DATE]], [["plain", DATE], ["plain", "x"]]):
            self.assertFalse(self.outputs(outputs=outputs).ok)

    def test_documents_arrive_as_values_and_as_the_text_of_messages(self):
        document = '{"id": "1", "n": 9007199254740993}'
        response = self.shared.request(queue_message("Outputs", '{"documents": [["document", %s], ["plain", %s]]}'
                                                     % (document, document)))
        outputs = json.loads(response.body)["Outputs"]
        self.assertEqual(outputs["document"], json.loads(document))
        self.assertEqual(base64.b64decode(outputs["plain"]).decode(), document)

    def test_outputs_that_do_not_exist_or_can_not_be_are_refused(self):
        for outputs in ([["none", "x"]], [["message", "x"]], [["file", "1"], ["file", "2"]]):
            self.assertFalse(self.outputs(outputs=outputs).ok)

    def test_bodies_that_are_no_envelope_get_400_and_an_event(self):
        for body in (b"", b"{}", b"[]", b'{"Data":[]}', b'{"Data":{}', b'{"Data":{"message":"\xff"}}', b"\xef\xbb\xbf{}",
                     b'{"Data":{}} x', b'{"Data":' + b"[" * 1000 + b"]" * 1000 + b"}"):
            head = f"POST /AskQueue HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            self.assertEqual(probe.exchange(self.connect(self.shared), head + body).status, 400, body[:40])
        self.shared.wait_for_line("input_validation_fail:envelope")

    def test_the_limit_of_a_body_does_not_count_the_envelope_around_it(self):
        for limit, length, status in ((0, 0, 200), (0, 1, 413), (1000, 1000, 200), (1000, 1001, 413)):
            document = {"Data": {"req": {"Url": "http://localhost/api/x", "Method": "POST", "Query": {}, "Params": {},
                                         "Headers": {}, "Body": "\"" * length}}, "Metadata": {"x": "y" * 2000}}
            policy = {"functions": {"HttpEnv": {"maxBodyBytes": limit}}}
            with self.probe_app(forwarding=False, policy=policy, functions=probe.probe_functions()) as handler:
                answer = handler.request(envelope("HttpEnv", document))
                # a status of the envelope itself would reach the caller as 500
                self.assertEqual((answer.status, answer.json()["Outputs"]["res"]["statusCode"]), (200, status))
                if status == 413:
                    handler.wait_for_line("413: what the envelope brings")

    def test_a_message_beyond_the_limit_fails(self):
        policy = {"functions": {"AskQueue": {"maxBodyBytes": 100}}}
        with self.probe_app(forwarding=False, policy=policy) as handler:
            self.assertEqual(handler.request(probe.queue_message("AskQueue", "x" * 200)).status, 413)
            handler.wait_for_line("413: what the envelope brings")

    def test_a_missing_trigger_value_reaches_the_function_as_absent(self):
        response = self.shared.request(envelope("QIn", {"Data": {}}))
        self.assertIn("input null", json.loads(response.body)["Logs"])


class Log(Answers):
    def test_what_a_function_prints_is_marked_bounded_and_can_not_take_the_hosts_prefixes(self):
        for words, level in (("print", "Information"), ("complain", "Error")):
            for number, text in enumerate(("LanguageWorkerConsoleLog~forged", "azfuncjsonlog:forged", "a~warning~of~sorts",
                         "{\"event\":\"forged\"}", "caf\\xc3\\xa9\\xff\\x1b[31m", "y" * 6000)):
                mark = f"mark-{words}-{number}"
                probe.exchange(self.connect(self.shared), ask(f"{words}={text} {words}={mark} reply"))
                self.shared.wait_for_line(mark)
        lines = [line for line in self.shared.lines]
        for line in lines:
            self.assertTrue(line.text.startswith('{"datetime":"'), line.text[:80])
            document = json.loads(line.text)
            self.assertLessEqual(len(line.text.encode()), 8192)
            self.assertEqual(line.level, {"INFO": "Information", "WARN": "Warning", "ERROR": "Error"}[document["level"]])
        complained = [json.loads(line.text) for line in lines if '"worker-stderr"' in line.text]
        self.assertIn("a warning of sorts", [document["description"] for document in complained])

    def test_a_flood_is_cut_and_counted(self):
        words = " ".join(["complain=flood"] * 3000)
        for _ in range(3):
            try:
                probe.exchange(self.connect(self.shared), ask(words[:40000] + " reply"))
            except WireError:
                self.fail("the request was lost")
        line = self.shared.wait_for_line("log lines were dropped")
        self.assertEqual(line.level, "Warning")


if __name__ == "__main__":
    del Answers  # a base without tests
    unittest.main()
