<?php

/**
 * Talks as the receiver of PHPMessageBroker does, call for call: one read of 8,192 bytes is one document, a failed read
 * means to come back at once, and an orderly end is not noticed.
 */
class MQReceiver
{
    private $address;
    private $port;
    private $authorization;
    private $channel;

    public function __construct($address, $port, $username, $password, $channel)
    {
        $this->address = $address;
        $this->port = $port;
        $this->authorization = base64_encode("$username:$password");
        $this->channel = $channel;
    }

    public function processMessage($message)
    {
    }

    public function run()
    {
        for (;;) {
            $socket = socket_create(AF_INET, SOCK_STREAM, SOL_TCP);
            $id = uniqid() . time();
            $login = ['id' => $id, 'command' => 'login', 'type' => 'receiver', 'authorization' => $this->authorization];
            $register = ['command' => 'register', 'type' => 'receiver', 'id' => $id, 'channel' => $this->channel];
            $isOpen = @socket_connect($socket, $this->address, $this->port) && $this->send($socket, $login);
            usleep(100000);
            if (!$isOpen || !$this->send($socket, $register)) continue;
            while (($read = @socket_read($socket, 8192, PHP_BINARY_READ)) !== false) $this->processMessage($read);
        }
    }

    private function send($socket, $document)
    {
        $text = json_encode($document);
        return @socket_send($socket, $text, strlen($text), 0);
    }
}
