// What a Go handler without a framework does for the same request.
package main

import (
	"fmt"
	"net/http"
	"os"
	"path"
)

func main() {
	http.HandleFunc("/", func(writer http.ResponseWriter, request *http.Request) {
		writer.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintf(writer, "Hello, %s!\n", path.Base(request.URL.Path))
	})
	fmt.Println(http.ListenAndServe("127.0.0.1:"+os.Getenv("FUNCTIONS_CUSTOMHANDLER_PORT"), nil))
}
