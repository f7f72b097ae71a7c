package main

import "testing"

func TestParse(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"text", []string{"products/show/now:{\"id\":5}", "add_to_cart_42"}, `payload  products/show/now:{"id":5}
prefix   products
action   show
rest     now
params   {"id":5}
subject  postback.v1.*.*.products.show

payload  add_to_cart_42
prefix   add_to_cart
action   42
rest     (none)
params   (none)
subject  postback.v1.*.*.add_to_cart.42
`},
		{"nothing", []string{""}, `payload  (none)
prefix   (none)
action   (none)
rest     (none)
params   (none)
subject  postback.v1.*.*._._
`},
		{"control characters", []string{"\fmenu|photos|a|\u200bb"}, `payload  "\fmenu|photos|a|\u200bb"
prefix   menu
action   photos
rest     a "\u200bb"
params   (none)
subject  postback.v1.*.*.menu.photos
`},
		{"a dash first", []string{"--", "-x"}, `payload  -x
prefix   -x
action   (none)
rest     (none)
params   (none)
subject  postback.v1.*.*.-x._
`},
		{"JSON", []string{"--json", "a:b:c<d", "understood:{}", ""}, `{"raw":"a:b:c<d","prefix":"a","action":"b","rest":["c","d"],"subject":"postback.v1.*.*.a.b"}
{"raw":"understood:{}","prefix":"understood","params":{},"subject":"postback.v1.*.*.understood._"}
{"raw":"","subject":"postback.v1.*.*._._"}
`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			setenv(t, nil)
			status, stdout, stderr := runGateway(append([]string{"parse"}, test.args...)...)
			if status != exitDone || stderr != "" || stdout != test.want {
				t.Errorf("status %d, stderr %q\ngot:\n%s\nwant:\n%s", status, stderr, stdout, test.want)
			}
		})
	}
}

func TestParseWithPartitions(t *testing.T) {
	setenv(t, env("PARTITIONS", "3"))
	status, stdout, _ := runGateway("parse", "--json", "a")
	if want := `{"raw":"a","prefix":"a","subject":"postback.v1.*.*.a._.*"}` + "\n"; status != exitDone || stdout != want {
		t.Errorf("status %d, got %s, want %s", status, stdout, want)
	}
}

func TestParseNeedsTheRootOnly(t *testing.T) {
	setenv(t, env("SUBJECT_ROOT", "clicks", "LISTEN", "wrong"))
	status, stdout, _ := runGateway("parse", "--json", "a")
	if want := `{"raw":"a","prefix":"a","subject":"clicks.*.*.a._"}` + "\n"; status != exitDone || stdout != want {
		t.Errorf("status %d, got %s, want %s", status, stdout, want)
	}
	setenv(t, env("SUBJECT_ROOT", "cl icks"))
	status, stdout, stderr := runGateway("parse", "a")
	want := "gateway: GATEWAY_SUBJECT_ROOT: \"cl icks\" is not a subject: expected tokens of letters, digits, _ and - joined by dots, the first one not deadletter, delivery, other, unclaimed or _INBOX\n"
	if status != exitUsage || stdout != "" || stderr != want {
		t.Errorf("status %d, stdout %q, stderr %q", status, stdout, stderr)
	}
}
