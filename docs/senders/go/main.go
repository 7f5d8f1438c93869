// One report to a gate, with hamba/avro.
//
//	TOKEN=... go run . https://GATE/t/TIER/v1/reports/route_window route_window.v1.avsc
package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/hamba/avro/v2"
)

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func main() {
	url, file := os.Args[1], os.Args[2]
	schema := avro.MustParse(string(must(os.ReadFile(file))))
	// Marker and fingerprint of the schema, from docs/wire.md: hamba/avro computes another fingerprint.
	message := must(hex.DecodeString("c301" + "b96d64c51678a604"))

	var id [16]byte
	must(rand.Read(id[:])) // drawn once for a report, and the same whenever it is posted again
	start := time.Now().Truncate(time.Hour).Add(-time.Hour)
	row := map[string]any{
		"data_class": "internal", "task_kind": "document", "input_size": "medium", "authority": "local_safe",
		"device_approved": "approved", "planned_route": "on_device", "actual_route": "edge",
		"decision_reason": "quality", "precision": "int4", "model": "assistant-small", "tasks": 3,
		"latency": map[string]any{ // a record in a union is named in full
			"tidegate.route_window.v1.Histogram": map[string]any{"offset": 80, "counts": []int64{2, 0, 1}},
		},
	}
	report := map[string]any{ // what is not said has the schema's default
		"report_id": id, "window_start": start, "window_end": start.Add(5 * time.Minute), "region": "eu-west",
		"hardware_tier": "small", "agent_version": "1.4.2", "network_context": "office", "rows": []map[string]any{row},
	}
	message = append(message, must(avro.Marshal(schema, report))...)

	request := must(http.NewRequest(http.MethodPost, url, bytes.NewReader(message)))
	request.Header.Set("Authorization", "Bearer "+os.Getenv("TOKEN"))
	request.Header.Set("Content-Type", "application/avro")
	client := http.Client{Timeout: 30 * time.Second}
	response := must(client.Do(request))
	defer response.Body.Close()
	fmt.Println(response.StatusCode, string(must(io.ReadAll(response.Body))))
}
