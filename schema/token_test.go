package schema

import (
	"strings"
	"testing"
)

func TestUnescapeTokenRefuses(t *testing.T) {
	for token, want := range map[string]string{
		"_":     `token "_" is not how "_" is written in a subject: "=5F"`,
		"=id":   `token "=id": = at 0 is not followed by two upper-case hex digits`,
		"=json": `token "=json": = at 0 is not followed by two upper-case hex digits`,
		"a=2":   `token "a=2": = at 1 is not followed by two hex digits`,
		"=e5":   `token "=e5": = at 0 is not followed by two upper-case hex digits`,
		"=41":   `token "=41" is not how "A" is written in a subject: "A"`,
		"a.b":   `token "a.b" is not how "a.b" is written in a subject: "a=2Eb"`,
	} {
		if got, err := UnescapeToken(token); err == nil || err.Error() != want {
			t.Errorf("UnescapeToken(%q) = %q, %v; want error %s", token, got, err, want)
		}
	}
}

// EscapeToken and UnescapeToken are exact inverses: every string has one token, and only
// that token is accepted for it.
func FuzzToken(f *testing.F) {
	for _, s := range []string{"", "_", "__", "=", "=5F", "a.b*c>", "全球", "\xff\x00", "=E5", "682498171943165"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		token := EscapeToken(s)
		if strings.ContainsAny(token, ".*> \t\r\n\x00") || token == "_" {
			t.Errorf("EscapeToken(%q) = %q is no valid token", s, token)
		}
		if back, err := UnescapeToken(token); err != nil || back != s {
			t.Errorf("UnescapeToken(EscapeToken(%q)) = %q, %v", s, back, err)
		}
		if back, err := UnescapeToken(s); err == nil && EscapeToken(back) != s {
			t.Errorf("EscapeToken(UnescapeToken(%q)) = %q", s, EscapeToken(back))
		}
	})
}
