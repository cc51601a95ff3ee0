import java.net.*;

/** Dials a service over TCP and over UDP, and prints who answered and what it said. */
class Dial {
    public static void main(String[] arguments) throws Exception {
        var service = new InetSocketAddress(arguments[0], Integer.parseInt(arguments[1]));
        try (var socket = new Socket()) {
            socket.setSoTimeout(5000);
            socket.connect(service, 5000);
            var line = new String(socket.getInputStream().readNBytes(256)).trim();
            System.out.println(socket.getRemoteSocketAddress() + " " + line);
        }
        try (var socket = new DatagramSocket()) {
            socket.setSoTimeout(5000);
            socket.send(new DatagramPacket("who\n".getBytes(), 4, service));
            var answer = new DatagramPacket(new byte[256], 256);
            socket.receive(answer);
            var line = new String(answer.getData(), 0, answer.getLength()).trim();
            System.out.println(answer.getSocketAddress() + " " + line);
        }
    }
}
