package schema_test

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/postback-gateway/gateway/schema"
)

// A consumer of a bot with a few buttons. The filters go into the consumer's
// configuration (FilterSubjects), the body of each message into Dispatch.
func ExampleRouter() {
	router := schema.NewRouter(schema.DefaultRoot)
	router.Postback(func(_ context.Context, e *schema.Event) error {
		var params struct {
			ID int `json:"id"`
		}
		if err := e.Data.Payload.DecodeParams(&params); err != nil {
			return err
		}
		fmt.Println("plan", e.Data.Payload.Action, params.ID)
		return nil
	}, "plan")
	router.Referral(func(_ context.Context, e *schema.Event) error {
		fmt.Println("came by", e.Data.Referral.Ref)
		return nil
	})
	fmt.Println(router.FilterSubjects())

	message := []byte(`{"data":{"kind":"button","payload":{"raw":"plan:pro","prefix":"plan","action":"pro"}}}`)
	var event schema.Event
	if err := json.Unmarshal(message, &event); err != nil {
		fmt.Println(err)
		return
	}
	if _, err := router.Dispatch(context.Background(), &event); err != nil {
		fmt.Println(err) // let the server deliver the message again
	}
	// Output:
	// [postback.v1.*.*.=referral.> postback.v1.*.*.plan.>]
	// plan pro 0
}
