package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/postback-gateway/gateway/ingest/simulate"
	"github.com/postback-gateway/gateway/publish/natstest"
	"github.com/postback-gateway/gateway/schema"
)

// TestSend: every kind of click of every platform is one that the gateway stores,
// as what it is.
func TestSend(t *testing.T) {
	t.Setenv("GATEWAY_TELEGRAM_SECRETS", "shop_bot:a-token")
	p := startGateway(t, t.TempDir(), "GATEWAY_TELEGRAM_SECRETS=shop_bot:a-token")
	t.Chdir(p.dir)
	t.Setenv("GATEWAY_LISTEN", strings.TrimPrefix(p.at.Webhook, "http://"))
	t.Setenv("GATEWAY_EMBEDDED_LISTEN", strings.TrimPrefix(p.at.NATS, "nats://"))
	for platform, simulated := range simulate.Platforms {
		for _, kind := range simulated.Kinds {
			sent := command(t, exitDone, "send", "--platform", platform, "--kind", string(kind))
			if !strings.Contains(sent, `200 OK {"accepted":1,`) {
				t.Errorf("%s %s: %s", platform, kind, sent)
				continue
			}
			line := tailLines(t, 1, "--last", "1")[0]
			if payload, _, _ := strings.Cut(sent, " "); strings.Contains(line, "payload=") && kind != schema.KindForm && kind != schema.KindFlow && !strings.Contains(line, strconv.Quote(payload)) {
				t.Errorf("%s %s became %s\nprinted as %s", platform, kind, line, sent)
			}
			want := "postback.v1." + platform + "." + simulated.Account + "."
			if !strings.Contains(line, want) || !slices.Contains(strings.Fields(line), string(kind)) {
				t.Errorf("%s %s became %s", platform, kind, line)
			}
		}
	}
	p.terminate()
}

// TestSendFlags: what is said on the command line stands in the delivery, and
// what is not is as the platform has it.
func TestSendFlags(t *testing.T) {
	t.Setenv("GATEWAY_TELEGRAM_SECRETS", "one_bot:a-token,two_bot:b-token")
	p := startGateway(t, t.TempDir(), "GATEWAY_TELEGRAM_SECRETS=one_bot:a-token,two_bot:b-token")
	t.Chdir(p.dir)
	t.Setenv("GATEWAY_LISTEN", strings.TrimPrefix(p.at.Webhook, "http://"))
	t.Setenv("GATEWAY_EMBEDDED_LISTEN", strings.TrimPrefix(p.at.NATS, "nats://"))
	for args, want := range map[string]string{
		"":                             `postback.v1.messenger.682498171943165.plan.enterprise  button  title="A button"  payload="plan:enterprise"  user="1254459154682919"`,
		"--payload= --title T --ref r": `postback.v1.messenger.682498171943165._._  button  title="T"  ref="r"  user="1254459154682919"`,
		"--user-ref a9 --account 7":    `postback.v1.messenger.7.plan.enterprise  button  title="A button"  payload="plan:enterprise"  user_ref="a9"`,
		"--user-ref a9 --user u":       `postback.v1.messenger.682498171943165.plan.enterprise  button  title="A button"  payload="plan:enterprise"  user="u"  user_ref="a9"`,
		"--kind quick_reply --payload a:b --ref r":               `postback.v1.messenger.682498171943165.a.b  quick_reply  title="A button"  payload="a:b"  ref="r"  user="1254459154682919"`,
		"--kind referral":                                        `postback.v1.messenger.682498171943165.=referral.spring_sale  referral  ref="spring_sale"  user="1254459154682919"`,
		"--kind referral --ref= --user-ref a9":                   `postback.v1.messenger.682498171943165.=referral._  referral  user_ref="a9"`,
		"--kind optin --payload a:b --title T":                   `postback.v1.messenger.682498171943165.a.b  optin  title="T"  payload="a:b"  user="1254459154682919"`,
		"--kind optin --ref r":                                   `postback.v1.messenger.682498171943165.=optin.r  optin  ref="r"  user="1254459154682919"`,
		"--kind optin --user-ref a9":                             `postback.v1.messenger.682498171943165.=optin._  optin  user_ref="a9"`,
		"--platform instagram --payload faq:hours --title T":     `postback.v1.instagram.17841405309211844.faq.hours  button  title="T"  payload="faq:hours"  user="7461234567890"`,
		"--platform whatsapp --kind list":                        `postback.v1.whatsapp.106540352242922.plan.enterprise  list  title="A button"  payload="plan:enterprise"  user="16505551234"`,
		"--platform whatsapp --kind form":                        `postback.v1.whatsapp.106540352242922.=form.form  form  payload="{\"saved_address_id\":\"address1\"}"  user="16505551234"`,
		"--platform whatsapp --kind optin":                       `postback.v1.whatsapp.106540352242922.=optin.stop  optin  user="16505551234"`,
		"--platform whatsapp --kind optin --ref resume":          `postback.v1.whatsapp.106540352242922.=optin.resume  optin  user="16505551234"`,
		"--platform whatsapp --kind call_button --payload a:b":   `postback.v1.whatsapp.106540352242922.a.b  call_button  payload="a:b"  user="16505551234"`,
		"--platform whatsapp --kind identity":                    `postback.v1.whatsapp.106540352242922.=identity._  identity  user="16505559876"`,
		"--platform telegram --kind web_app --payload a:b":       `postback.v1.telegram.one_bot.a.b  web_app  title="A button"  payload="a:b"  user="9007199254740993"`,
		"--platform telegram --kind web_app --payload {\"a\":1}": `postback.v1.telegram.one_bot.=form.web_app  web_app  title="A button"  payload="{\"a\":1}"  user="9007199254740993"`,
		"--platform telegram --kind payment --payload order:a":   `postback.v1.telegram.one_bot.order.a  payment  payload="order:a"  user="9007199254740993"`,
		"--platform telegram --kind paid_media --payload a:b":    `postback.v1.telegram.one_bot.a.b  paid_media  payload="a:b"  user="9007199254740993"`,
		"--platform telegram --kind inline_result --payload a:b": `postback.v1.telegram.one_bot.a.b  inline_result  payload="a:b"  user="9007199254740993"`,
		"--platform telegram":                                    `postback.v1.telegram.one_bot.plan.enterprise  inline_button  title="A button"  payload="plan:enterprise"  user="9007199254740993"`,
		"--platform telegram --account two_bot --kind button":    `postback.v1.telegram.two_bot.start._  button  payload="/start"  user="9007199254740993"`,
		"--platform telegram --account two_bot --secret b-token": `postback.v1.telegram.two_bot.plan.enterprise  inline_button  title="A button"  payload="plan:enterprise"  user="9007199254740993"`,
	} {
		command(t, exitDone, append([]string{"send"}, strings.Fields(args)...)...)
		if line := tailLines(t, 1, "--last", "1")[0]; !strings.HasSuffix(line, "  "+want) {
			t.Errorf("send %s became %s\nwant %s", args, line, want)
		}
	}
	p.terminate()
}

func TestSendUsage(t *testing.T) {
	for args, want := range map[string]string{
		"--platform x": `--platform "x" is not supported: expected one of messenger, instagram, whatsapp, telegram`,
		"--platform telegram --kind button --payload a": `--payload "a": the Start button of a bot sends /start, expected --kind inline_button`,
		"--kind list":                                     `--kind "list": messenger has no such clicks, expected one of button, quick_reply, referral, optin`,
		"--platform instagram --kind flow":                `--kind "flow": instagram has no such clicks, expected one of button, quick_reply, referral, optin`,
		"--kind referral --payload plan:basic":            `--payload "plan:basic": a referral has none, expected --ref`,
		"--platform whatsapp --kind identity --payload a": `--payload "a": the kind identity has none`,
		"--platform whatsapp --kind optin --payload a":    `--payload "a": the kind optin has none, expected --ref stop or --ref resume`,
		"--platform whatsapp --kind optin --ref a":        `--ref "a": expected stop or resume`,
		"--rate -1": `--rate -1: expected 0 or more`,
	} {
		var errs bytes.Buffer
		status := execute(t.Context(), append([]string{"send"}, strings.Fields(args)...), nil, nil, &errs)
		if status != exitUsage || !strings.Contains(errs.String(), want) {
			t.Errorf("send %s: status %d, %s want %s", args, status, errs.String(), want)
		}
	}
}

// TestSendFile: any body is signed and posted, to the webhook of the platform.
func TestSendFile(t *testing.T) {
	t.Setenv("GATEWAY_TELEGRAM_SECRETS", "shop_bot:a-token")
	p := startGateway(t, t.TempDir(), "GATEWAY_TELEGRAM_SECRETS=shop_bot:a-token")
	t.Chdir(p.dir)
	t.Setenv("GATEWAY_LISTEN", strings.TrimPrefix(p.at.Webhook, "http://"))
	put(t, "page.json", string(simulate.Messenger(simulate.Click{Account: "1", User: "u", Payload: "a"}, simulate.Click{Account: "1", User: "u", Payload: "b"})))
	put(t, "update.json", string(simulate.Telegram(simulate.Click{Account: "shop_bot", User: "1", Payload: "a"})))
	put(t, "nonsense", "x")
	for args, want := range map[string]string{
		"send --file page.json":                       `page.json 200 OK {"accepted":2,`,
		"send --file update.json --platform telegram": `update.json 200 OK {"accepted":1,`,
		"send --file nonsense":                        "nonsense 400 Bad Request",
		"send --file missing.json":                    "gateway: --file: open missing.json: no such file or directory",
		"send --file page.json --payload a":           "gateway: --payload: the body is that of --file, expected one of them (see gateway send --help)",
		"send --kind test":                            `plan:enterprise 200 OK {"accepted":1,`,
		"send --kind test --platform whatsapp":        `gateway: --kind "test": whatsapp has no such clicks`,
		"__complete send --platform ":                 "messenger\n",
		"__complete send --platform telegram --kind ": "inline_button\n",
		"__complete send --kind ":                     "test\n",
		"__complete stats --by ":                      "prefix\n",
	} {
		fields := strings.Split(args, " ")
		if text, _ := p.run(fields...); !strings.Contains(text, want) {
			t.Errorf("gateway %s: %s", args, text)
		}
	}
	if text, _ := p.run("tail", "--no-follow", "--json"); !strings.Contains(text, `"channel":"test"`) {
		t.Errorf("no sample of the dashboard in %s", text)
	}
	p.terminate()
}

// TestSendToAnotherGateway: the answer is one that the settings here explain.
func TestSendToAnotherGateway(t *testing.T) {
	p := startGateway(t, t.TempDir(), "GATEWAY_META_APP_SECRETS=theirs")
	t.Setenv("GATEWAY_LISTEN", strings.TrimPrefix(p.at.Webhook, "http://"))
	t.Setenv("GATEWAY_TELEGRAM_SECRETS", "shop_bot:a-token")
	t.Setenv("GATEWAY_META_APP_SECRETS", "ours")
	t.Chdir(t.TempDir())
	failed := func(want string, args ...string) {
		t.Helper()
		var errs bytes.Buffer
		if status := execute(t.Context(), args, nil, io.Discard, &errs); status != exitFailed || !strings.Contains(errs.String(), want) {
			t.Errorf("gateway %s: status %d, %s", args, status, errs.String())
		}
	}
	failed("1 of 1 deliveries were not answered 200; the secret is that of GATEWAY_META_APP_SECRETS: expected the gateway's, or --secret", "send")
	failed("not answered 200; the gateway at "+p.at.Webhook+" has no bot shop_bot: expected it to run with the same GATEWAY_TELEGRAM_SECRETS", "send", "--platform", "telegram")
	t.Setenv("GATEWAY_META_APP_SECRETS", "")
	if err := os.Mkdir("data", 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join("data", "app-secret"), "old")
	failed("the secret is that of data/app-secret: expected", "send")
	p.terminate()
}

// TestSendBesideDemo: the bot that the demo has made up can be posted to, as long as the
// demo runs.
func TestSendBesideDemo(t *testing.T) {
	p := newProcess(t, t.TempDir())
	p.cmd.Args = append(p.cmd.Args, "demo")
	p.start()
	natstest.Eventually(t, "the demo has its bot", func() bool {
		_, err := os.Stat(filepath.Join(p.dir, "data", "demo-bot"))
		return err == nil
	})
	if text, status := p.run("send", "--platform", "telegram"); status != exitDone || !strings.Contains(text, `200 OK {"accepted":1,`) {
		t.Errorf("status %d: %s", status, text)
	}
	p.terminate()
	if text, status := p.run("send", "--platform", "telegram"); status != exitFailed || !strings.Contains(text, "no bot is configured") {
		t.Errorf("after the demo: status %d: %s", status, text)
	}
}
