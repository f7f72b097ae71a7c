package schema

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
)

// The documents for consumers list the platforms too, in the same order.
func TestPlatformsInDocuments(t *testing.T) {
	var document struct {
		Properties struct {
			Data struct {
				Properties struct {
					Platform struct {
						AnyOf []struct{ Enum []string }
					}
				}
			}
		}
	}
	if err := json.Unmarshal(JSONSchema, &document); err != nil {
		t.Fatal(err)
	}
	want := append(PlatformNames(), UnknownPlatform) // of an item that is not a click
	if got := document.Properties.Data.Properties.Platform.AnyOf[0].Enum; !slices.Equal(got, want) {
		t.Errorf("event.v1.schema.json lists %v, expected %v", got, want)
	}
	asyncapi, err := os.ReadFile("../docs/asyncapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	names := strings.Join(PlatformNames(), ", ")
	for _, list := range []string{"examples: [" + names + "]", "examples: [" + names + ", " + UnknownPlatform + "]", "enum: [" + names + ", " + UnknownPlatform + "]"} {
		if !strings.Contains(string(asyncapi), list) {
			t.Errorf("docs/asyncapi.yaml lacks %s", list)
		}
	}
}

func TestWebhookOf(t *testing.T) {
	for platform, want := range map[string]string{WhatsApp: UnknownPlatform, Telegram: Telegram, "other": ""} {
		if got := WebhookOf(platform); got != want {
			t.Errorf("WebhookOf(%q) = %q, want %q", platform, got, want)
		}
	}
}
