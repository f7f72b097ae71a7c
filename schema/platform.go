package schema

// The platforms, as they stand in events, subjects and metrics.
const (
	Messenger = "messenger"
	Instagram = "instagram"
	WhatsApp  = "whatsapp"
	Telegram  = "telegram"
)

// UnknownPlatform is the name of Meta's webhook, which three platforms share. It is
// the platform of a dead letter whose body does not say which of them sent it.
const UnknownPlatform = "meta"

// Platform is a platform whose deliveries the gateway receives.
type Platform struct {
	Name string
	// Webhook is the webhook that the platform delivers to: UnknownPlatform for all
	// that use Meta's, else the platform's own name.
	Webhook string
}

// Platforms returns every platform. This is the only list of them: the rest of the
// gateway reads it.
func Platforms() []Platform {
	return []Platform{
		{Messenger, UnknownPlatform},
		{Instagram, UnknownPlatform},
		{WhatsApp, UnknownPlatform},
		{Telegram, Telegram},
	}
}

// PlatformNames returns the names of all platforms.
func PlatformNames() []string {
	var names []string
	for _, p := range Platforms() {
		names = append(names, p.Name)
	}
	return names
}

// WebhookOf returns the webhook that a platform delivers to, or "" for an unknown
// platform.
func WebhookOf(platform string) string {
	for _, p := range Platforms() {
		if p.Name == platform {
			return p.Webhook
		}
	}
	return ""
}
