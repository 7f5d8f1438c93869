// Every golden report, decoded and encoded anew by hamba/avro, to a gate: where a sender in another language begins.
//
//	go run ./golden https://GATE tests/golden/wire schemas/reports [?check=1]
//
// TOKEN_MANAGED, TOKEN_BYOD and TOKEN_CONTRACTOR hold the tokens. A line for each report: its file, the body that was
// posted in hexadecimal, status and answer; before them one for each schema: the fingerprint that the library computes.
package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/hamba/avro/v2"
)

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func main() {
	gate, reports, schemas, query := os.Args[1], os.Args[2], os.Args[3], strings.Join(os.Args[4:], "")
	parsed := map[string]avro.Schema{}
	for _, file := range must(filepath.Glob(filepath.Join(schemas, "*.avsc"))) {
		schema := must(avro.Parse(string(must(os.ReadFile(file)))))
		name := strings.Split(filepath.Base(file), ".")[0]
		parsed[name] = schema
		fmt.Printf("schema\t%s\t%x\n", name, must(schema.FingerprintUsing(avro.CRC64AvroLE)))
	}
	for _, file := range must(filepath.Glob(filepath.Join(reports, "*", "*.avro*"))) {
		tier, report := filepath.Base(filepath.Dir(file)), strings.Split(filepath.Base(file), ".")[0]
		body, mediaType := must(os.ReadFile(file)), "application/avro"
		if strings.HasSuffix(file, "-sequence") {
			body, mediaType = sequence(body, parsed[report]), "application/avro-sequence"
		} else {
			body = anew(body, parsed[report])
		}
		status, answer := post(gate+"/t/"+tier+"/v1/reports/"+report+query, tier, mediaType, body)
		fmt.Printf("report\t%s/%s\t%x\t%d\t%s\n", tier, filepath.Base(file), body, status, answer)
	}
}

// sequence is a batch whose messages are written anew: each stands behind its length, four bytes, big-endian.
func sequence(body []byte, schema avro.Schema) []byte {
	var written []byte
	for len(body) > 0 {
		length := binary.BigEndian.Uint32(body)
		message := anew(body[4:4+length], schema)
		written = binary.BigEndian.AppendUint32(written, uint32(len(message)))
		written = append(written, message...)
		body = body[4+length:]
	}
	return written
}

// anew is the message of the same report as hamba/avro writes it, behind the marker and fingerprint that it had.
func anew(message []byte, schema avro.Schema) []byte {
	var report any
	if err := avro.Unmarshal(schema, message[10:], &report); err != nil {
		log.Fatal(err)
	}
	return append(bytes.Clone(message[:10]), must(avro.Marshal(schema, report))...)
}

func post(url, tier, mediaType string, body []byte) (int, []byte) {
	request := must(http.NewRequest(http.MethodPost, url, bytes.NewReader(body)))
	request.Header.Set("Authorization", "Bearer "+os.Getenv("TOKEN_"+strings.ToUpper(tier)))
	request.Header.Set("Content-Type", mediaType)
	response := must(http.DefaultClient.Do(request))
	defer response.Body.Close()
	return response.StatusCode, must(io.ReadAll(response.Body))
}
