// Two SERV systems-on-chip side by side: the design that the example fleet places and routes.
// Each core is the unchanged `servant` reference system of the SERV project (CPU, memory, timer,
// GPIO), which PyPI's pythondata-cpu-serv ships together with its blinky firmware.
`default_nettype none
module dual_serv (
    input  wire       clk,
    output wire [1:0] q
);
   // Holds both systems in reset for the first five cycles after configuration.
   reg [4:0] reset = 5'b11111;
   always @(posedge clk) reset <= {1'b0, reset[4:1]};

   genvar i;
   generate
      for (i = 0; i < 2; i = i + 1) begin : core
         servant #(.memfile("/verilog/sw/blinky.hex"), .memsize(512)) system (
            .wb_clk(clk),
            .wb_rst(reset[0]),
            .q(q[i])
         );
      end
   endgenerate
endmodule
