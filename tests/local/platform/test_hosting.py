from __future__ import annotations


def test_answers_with_the_prediction_of_the_named_model(run, world):
    async def test(at):
        at.bucket.put_model("models/a.tar.gz", b"model a")
        at.bucket.put_model("models/tenant/b.tar.gz", b"model b")
        await at.hosting.deploy(at.spec())
        status, headers, body = await at.invoke("a.tar.gz", b"\x00\xff")
        assert (status, body) == (200, b"model a|\x00\xff")
        assert headers["x-amzn-invoked-production-variant"] == "AllTraffic"
        assert headers["content-type"] == "text/plain"
        assert (await at.invoke("tenant/b.tar.gz"))[2] == b"model b|x"
        assert (await at.invoke("a.tar.gz", b"again"))[2] == b"model a|again"
        assert world.loads == ["a.tar.gz", "tenant/b.tar.gz"]

    run(test)
