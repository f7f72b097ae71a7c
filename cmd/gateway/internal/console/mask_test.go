package console

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// private are values in the samples that belong to a person, and secrets.
var private = []string{"1254459154682919", "16505551234", "Sheena", "Nelson", "sheena_nelson", "9007199254740993"}

// TestMaskSamples: no sample of a platform shows a person.
func TestMaskSamples(t *testing.T) {
	samples, err := filepath.Glob("../../../../ingest/testdata/*/*.json")
	if err != nil || len(samples) < 50 {
		t.Fatalf("%d samples: %v", len(samples), err)
	}
	withPerson := 0
	for _, path := range samples {
		body, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		shown := masker{}.print(body)
		for _, value := range private {
			if strings.Contains(string(body), value) {
				withPerson++
			}
			if strings.Contains(shown, value) {
				t.Errorf("%s shows %s:\n%s", path, value, shown)
			}
		}
		if revealed := (masker{reveal: true}).print(body); strings.Contains(revealed, `_token": "tok"`) {
			t.Errorf("%s shows a secret:\n%s", path, revealed)
		}
	}
	if withPerson < 20 {
		t.Errorf("only %d samples have a person: the test cannot fail", withPerson)
	}
}

// A pseudonym is six random hex digits: what must not be shown cannot be a part of one.
func TestMask(t *testing.T) {
	for _, test := range []struct {
		name, body   string
		mask         masker
		shown, never []string
	}{
		{"a click", `{"sender":{"id":"7712345"},"recipient":{"id":"88"},"postback":{"title":"Buy","payload":"plan:pro"}}`,
			masker{accounts: map[string]bool{"88": true}}, []string{`"payload": "plan:pro"`, `"id": "88"`, "••••"}, []string{"7712345", "Buy"}},
		{"the same, revealed", `{"sender":{"id":"77"},"postback":{"title":"Buy"}}`, masker{reveal: true}, []string{"77", "Buy"}, []string{"••••"}},
		{"a number", `{"from":{"id":7712345}}`, masker{}, []string{`"id": "••••`}, []string{"7712345"}},
		{"an unknown member", `{"nickname":"Bo","position":{"lat":51.5}}`, masker{}, nil, []string{"Bo", "51.5"}},
		{"an address in a payload", `{"payload":"ana@example.com"}`, masker{}, nil, []string{"ana@"}},
		{"a telephone number in a payload", `{"payload":"+44 20 7946 0000"}`, masker{}, nil, []string{"+44", " 20", "7946 ", " 0000"}},
		{"what a person filled in", `{"payload":{"raw":"{\"size\":\"XL\"}","params":{"size":"XL"}}}`, masker{form: true}, nil, []string{"XL"}},
		{"a secret", `{"optin":{"notification_messages_token":"s3cret"}}`, masker{reveal: true}, []string{"(secret, never shown)"}, []string{"s3cret"}},
		{"a secret in upper case", `{"ReplyToken":"s3cret"}`, masker{reveal: true}, nil, []string{"s3cret"}},
		{"a secret list", `{"token":["s3cret",{"a":"s3cret"}]}`, masker{reveal: true}, nil, []string{"s3cret"}},
		{"not JSON", `name=Ana`, masker{}, []string{"not JSON"}, []string{"Ana"}},
		{"not JSON, revealed", `name=Ana`, masker{reveal: true}, []string{"name=Ana"}, nil},
		{"not JSON with a secret, revealed", `reply_token=s3cret`, masker{reveal: true}, nil, []string{"s3cret"}},
		{"cut off", `{"title":"An`, masker{reveal: true}, []string{"not JSON from here on"}, []string{`"An`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := test.mask.print([]byte(test.body))
			for _, text := range test.shown {
				if !strings.Contains(got, text) {
					t.Errorf("%q is missing in\n%s", text, got)
				}
			}
			for _, text := range test.never {
				if strings.Contains(got, text) {
					t.Errorf("%q is shown in\n%s", text, got)
				}
			}
		})
	}
}
