<?php

/** Talks as the sender of PHPMessageBroker does: it waits a little and reads nothing. */
class MQSender
{
    private $socket;

    public function __construct($address, $port, $username, $password)
    {
        $this->socket = socket_create(AF_INET, SOCK_STREAM, SOL_TCP);
        socket_connect($this->socket, $address, $port);
        $authorization = base64_encode("$username:$password");
        $this->write(['id' => uniqid() . time(), 'command' => 'login', 'type' => 'sender', 'authorization' => $authorization]);
        usleep(100000);
    }

    public function send($data, $channel)
    {
        $this->write(['command' => 'message', 'type' => 'sender', 'channel' => $channel, 'data' => $data]);
        usleep(10000);
    }

    private function write($document)
    {
        $text = json_encode($document);
        socket_send($this->socket, $text, strlen($text), 0);
    }
}
